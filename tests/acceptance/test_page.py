"""The demo's page in Chromium: two people side by side, each with what they may see."""

import asyncio

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, Route, expect

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


async def test_comment_that_is_sent_before_the_page_knows_the_team_arrives(
    example: Example, page: Page, problems: list[str]
) -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        asked.set()
        await may_answer.wait()
        await route.continue_()

    await page.route("**/api/memberships", hold)
    await page.goto(example.address)
    pane = page.locator(".pane").first
    await pane.locator("[name=body]").fill("early")
    await pane.get_by_role("button", name="Send").click()
    await asked.wait()
    await expect(pane.locator("[name=body]")).to_have_value("")
    may_answer.set()
    await expect(item(pane, "early")).to_be_visible()
    await expect(page.locator(".problem:visible")).to_have_count(0)
    assert problems == []


async def test_each_person_has_one_stream_and_no_token_is_in_an_address(example: Example, page: Page) -> None:
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    await page.goto(example.address)
    await expect(page.locator("[data-list=posts] .item")).to_have_count(6)
    assert sum("?tables=" in address and "snapshot" not in address for address in addresses) == 2
    assert not any("token" in address for address in addresses)


# What each of the page's controls measures, where it is less than 44 px in one direction. A label belongs to its box.
SMALL = """[...document.querySelectorAll("button, input, select, summary")]
  .filter((control) => control.checkVisibility())
  .map((control) => (control.type === "checkbox" ? control.closest("label") : control))
  .map((control) => [control.outerHTML, control.getBoundingClientRect()])
  .filter(([, { width, height }]) => width < 44 || height < 44)
  .map(([html, { width, height }]) => `${width} x ${height}: ${html}`)"""

LONG = 20 * "a long text "


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (375, 667), (360, 640)])
async def test_both_people_fit_the_window(
    example: Example, page: Page, panes: tuple[Locator, Locator], problems: list[str], width: int, height: int
) -> None:
    for number in range(8):
        example.add_post(f"{LONG}{number}", published=True)
        example.add_comment(f"{LONG}{number}")
    await page.set_viewport_size({"width": width, "height": height})
    for pane in panes:
        await expect(item(pane, f"{LONG}7").first).to_be_in_viewport()
    await panes[0].locator("[data-do=edit]").first.click()
    assert await page.evaluate(SMALL) == []
    overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow == 0
    if width > height:
        assert await page.evaluate("document.documentElement.scrollHeight") == height
        for pane in panes:
            await expect(pane.locator(".log")).to_be_in_viewport(ratio=1)
    assert problems == []
