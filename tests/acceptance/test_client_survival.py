"""What a page with the client outlives, in Chromium: it loses no change, and ends with what SELECT returns."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest
from playwright.async_api import Page

from tests.acceptance.browser import Browser, expect_posts
from tests.example import Example


class Writer:
    """Writes posts, whose titles are numbers, and keeps what a page has to see of them."""

    def __init__(self, example: Example) -> None:
        self.example = example
        self.seen: list[str | None] = [None]  # The rows as they are read.
        example.add_post("0", published=True)

    def write(self) -> None:
        """Write the next post."""
        self.seen.append(str(len(self.seen)))
        self.example.add_post(str(self.seen[-1]), published=True)

    async def expect_each_in(self, page: Page) -> None:
        """Expect that a page has seen every post, once and in order, and shows what SELECT returns."""
        await expect_posts(self.example, page)
        assert await page.evaluate("seen") == self.seen


@pytest.fixture
def writer(example: Example) -> Writer:
    """Return a writer to the example's database."""
    return Writer(example)


@pytest.mark.parametrize("refreshes", [True, False])
async def test_page_outlives_four_tokens(browser: Browser, writer: Writer, *, refreshes: bool) -> None:
    if not refreshes:
        await browser.context.route("**/api/realtime/*/token", lambda route: route.abort())
    browser.seconds = 3
    page = await browser.live_tab()
    lives = 0.0
    while lives < 4:
        writer.write()
        await writer.expect_each_in(page)
        newest = await page.evaluate("Date.parse(newest) / 1000")
        lived_seconds = newest - browser.tokens[0]["iat"]
        lives = lived_seconds / browser.seconds if refreshes else len(browser.streams) - 2
    assert len(browser.streams) < len(browser.tokens)


WORKER = """
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { url, signal } = event.request;
  if (!url.includes("/api/realtime?")) return;
  const headers = new Headers(event.request.headers);
  headers.delete("Last-Event-ID");
  event.respondWith(fetch(url, { headers, signal }));
});"""
REGISTER = """async () => {
  const isControlled = new Promise((resolve) => (navigator.serviceWorker.oncontrollerchange = resolve));
  await navigator.serviceWorker.register("/worker.js");
  await isControlled;
}"""


async def test_page_whose_position_a_service_worker_drops_reads_again(
    example: Example, browser: Browser, writer: Writer
) -> None:
    await browser.context.route(
        "**/worker.js", lambda route: route.fulfill(body=WORKER, content_type="text/javascript")
    )
    await (await browser.empty_tab()).evaluate(REGISTER)
    page = await browser.live_tab()
    writer.write()
    await writer.expect_each_in(page)
    example.kill()
    writer.write()
    example.start()
    await expect_posts(example, page)
    writer.write()
    await expect_posts(example, page)
    assert await page.evaluate("seen") == [None, "1", None, "3"]


@asynccontextmanager
async def suspended(page: Page) -> AsyncIterator[None]:
    """Stop a page without a word to it, as when a computer sleeps: none of its scripts runs."""
    stopped = asyncio.create_task(page.evaluate("alert()"))
    async with page.expect_event("dialog") as dialog:
        pass
    yield
    await (await dialog.value).dismiss()
    await stopped


@asynccontextmanager
async def frozen(page: Page) -> AsyncIterator[None]:
    """Tell a page that it is frozen, and stop it. A browser does this to a tab in the background."""
    await page.evaluate("void document.dispatchEvent(new Event('freeze'))")
    async with suspended(page):
        yield
    await page.evaluate("void document.dispatchEvent(new Event('resume'))")


@asynccontextmanager
async def offline(page: Page) -> AsyncIterator[None]:
    """Take the network from a page."""
    await page.context.set_offline(True)
    yield
    await page.context.set_offline(False)


@pytest.mark.parametrize("asleep", [suspended, frozen, offline])
async def test_page_that_slept_past_its_token_goes_on(
    browser: Browser, writer: Writer, asleep: Callable[[Page], AbstractAsyncContextManager[None]]
) -> None:
    browser.seconds = 3
    page = await browser.live_tab()
    writer.write()
    await writer.expect_each_in(page)
    async with asleep(page):
        writer.write()
        await browser.last_token_to_expire()
        writer.write()
    await writer.expect_each_in(page)
    writer.write()
    await writer.expect_each_in(page)


async def crash(page: Page) -> None:
    """End a tab's process. Chromium does not answer this."""
    session = await page.context.new_cdp_session(page)
    async with page.expect_event("crash"):
        asking = asyncio.create_task(session.send("Page.crash"))
    asking.cancel()


async def test_six_tabs_with_one_stream_outlive_those_that_lead(browser: Browser, writer: Writer) -> None:
    first, second, third, *others = [await browser.live_tab() for _ in range(6)]
    await expect_all_to_go_on(writer, [first, second, third, *others])
    writer.write()
    async with frozen(first):
        await expect_all_to_go_on(writer, [second, third, *others])
        writer.write()
        await second.close()
        await expect_all_to_go_on(writer, [third, *others])
        writer.write()
        await crash(third)
        await expect_all_to_go_on(writer, others)
    await expect_posts(writer.example, first)
    assert sum("snapshot" not in address for address in browser.streams) == 4


async def expect_all_to_go_on(writer: Writer, tabs: list[Page]) -> None:
    """Expect that tabs see what is written, by the one stream that the server has."""
    writer.write()
    for tab in tabs:
        await writer.expect_each_in(tab)
    assert writer.example.server
    writer.example.server.wait_until(lambda: httpx.get(f"{writer.example.address}/observed").json()["subscribers"] == 1)
