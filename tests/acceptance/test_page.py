"""The demo's page in Chromium: two people side by side, each with what they may see."""

from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tests.example import Example


@pytest.fixture
def problems(page: Page) -> list[str]:
    """The errors on the page's console while the test runs."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


@pytest_asyncio.fixture
async def panes(example: Example, page: Page) -> tuple[Locator, Locator]:
    """The two people's panes, both live."""
    await page.goto(example.address)
    left, right = page.locator(".pane").first, page.locator(".pane").last
    for pane in (left, right):
        await expect(pane.locator(".status")).to_have_attribute("data-state", "live")
    return left, right


def item(pane: Locator, text: str) -> Locator:
    """Return a locator of the post or comment with this text in a pane."""
    return pane.locator(".item").filter(has=pane.page.locator(".title").get_by_text(text, exact=True))


async def write_post(pane: Locator, title: str, *, published: bool) -> None:
    """Fill in a pane's form, send it, and wait until the post is there."""
    form = pane.locator("[data-form=post]")
    await form.locator("[name=title]").fill(title)
    await form.locator("[name=published]").set_checked(published)
    await form.get_by_role("button").click()
    await expect(item(pane, title)).to_be_visible()


async def set_member(pane: Locator, *, member: bool) -> None:
    """Add a pane's person to the team or remove them, and wait until the server has done so."""
    switch = pane.locator("[name=member]")
    if await switch.is_checked() != member:
        async with pane.page.expect_response("**/api/memberships*"):
            await switch.click()
    await expect(switch).to_be_checked(checked=member)


async def test_each_sees_what_they_may(page: Page, panes: tuple[Locator, Locator], problems: list[str]) -> None:
    left, right = panes
    await write_post(left, "a plan", published=False)
    await write_post(left, "good news", published=True)
    await expect(item(right, "good news")).to_be_visible()
    await expect(item(right, "a plan")).to_have_count(0)  # It would have arrived before the news.

    await item(left, "a plan").locator("[data-do=publish]").click()
    await expect(item(right, "a plan")).to_be_visible()

    await item(left, "good news").locator("[data-do=edit]").click()
    await item(left, "good news").locator(".editor [name=title]").fill("better news")
    await item(left, "good news").get_by_role("button", name="Save").click()
    await expect(item(right, "better news")).to_be_visible()
    await expect(item(right, "good news")).to_have_count(0)

    await item(left, "better news").locator("[data-do=delete]").click()
    await expect(item(right, "better news")).to_have_count(0)
    await expect(item(left, "better news")).to_have_count(0)
    await expect(right.locator(".log .action").first).to_have_text("delete")
    assert problems == []


async def test_write_from_outside_arrives(example: Example, panes: tuple[Locator, Locator]) -> None:
    left, right = panes
    example.add_post("by hand", published=True)
    await expect(item(left, "by hand")).to_be_visible()
    await expect(item(right, "by hand")).to_be_visible()


async def test_comments_reach_the_members_of_the_team(example: Example, panes: tuple[Locator, Locator]) -> None:
    left, right = panes
    await set_member(right, member=False)
    example.add_comment("behind closed doors")
    example.add_post("after the comment", published=True)
    await expect(item(left, "behind closed doors")).to_be_visible()
    await expect(item(right, "after the comment")).to_be_visible()
    await expect(item(right, "behind closed doors")).to_have_count(0)
    await set_member(right, member=True)
    example.add_comment("welcome back")
    await expect(item(right, "welcome back")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 360])
async def test_page_fits_its_window(
    page: Page, panes: tuple[Locator, Locator], problems: list[str], tmp_path: Path, width: int
) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    await page.screenshot(path=tmp_path / f"page-{width}.png", full_page=True)
    overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow == 0
    assert problems == []
