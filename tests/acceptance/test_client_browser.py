"""The client in Chromium, as the example's static files serve it."""

import time
from datetime import timedelta
from typing import Any

import pytest_asyncio
from playwright.async_api import BrowserContext, Page
from rest_framework_simplejwt.tokens import AccessToken

from tests.example import AUTHOR, Example

SUBSCRIBE = """async (options) => {
  const { Realtime } = await import("/static/ayb_realtime/client.js");
  window.events = [];
  window.statuses = [];
  window.realtime = new Realtime({ token: () => freshToken(), ...options });
  realtime.onstatus = (status) => statuses.push(status);
  realtime.subscribe(["posts"], (event) => events.push(event));
}"""
SUBSCRIBED = {"action": "reset", "reason": "subscribed", "tables": ["posts"]}


class Browser:
    """A browser whose pages ask for the author's tokens.

    tokens: how many they have asked for; seconds: how long each lives.
    """

    def __init__(self, context: BrowserContext, example: Example) -> None:
        self.context = context
        self.example = example
        self.tokens = 0
        self.seconds = 3600.0

    async def tab(self, **options: object) -> Page:
        """Open a tab that subscribes to the posts; return it when its stream is open."""
        page = await self.context.new_page()
        await page.goto(f"{self.example.address}/empty")
        await page.evaluate(SUBSCRIBE, options)
        await page.wait_for_function("events.length > 0")
        return page

    def token(self) -> str:
        """Return another token of the author."""
        self.tokens += 1
        token = AccessToken()
        token["user_id"] = str(AUTHOR.id)
        token.set_exp(lifetime=timedelta(seconds=self.seconds))
        return str(token)


@pytest_asyncio.fixture
async def browser(example: Example, page: Page) -> Browser:
    """The browser of a page."""
    browser = Browser(page.context, example)
    await page.context.expose_function("freshToken", browser.token)
    await page.context.route("**/empty", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    return browser


async def received(page: Page, number: int) -> list[Any]:
    """Wait for so many events; return the title of each post, or the whole event where it is no change."""
    await page.wait_for_function("number => events.length >= number", arg=number)
    events = await page.evaluate("events")
    return [event["record"]["title"] if "record" in event else event for event in events]


async def test_rows_arrive(example: Example, browser: Browser) -> None:
    page = await browser.tab()
    example.add_post("a draft", published=False)
    example.add_post("news", published=True)
    assert await received(page, 3) == [SUBSCRIBED, "a draft", "news"]
    assert await page.evaluate("realtime.status") == "live"


async def test_every_row_arrives_over_several_lives_of_a_token(example: Example, browser: Browser) -> None:
    browser.seconds = 3
    page = await browser.tab()
    expected: list[Any] = [SUBSCRIBED]
    end = time.monotonic() + 4 * browser.seconds
    while time.monotonic() < end:
        expected.append(f"post {len(expected)}")
        example.add_post(expected[-1], published=True)
        assert await received(page, len(expected)) == expected
    assert browser.tokens > 4
    assert "offline" not in await page.evaluate("statuses")


async def test_killed_server_loses_nothing(example: Example, browser: Browser) -> None:
    page = await browser.tab()
    example.add_post("before", published=True)
    await received(page, 2)
    example.kill()
    await page.wait_for_function("realtime.status === 'offline'")
    example.add_post("meanwhile", published=True)
    example.start()
    await received(page, 3)
    example.add_post("after", published=True)
    assert await received(page, 4) == [SUBSCRIBED, "before", "meanwhile", "after"]
    assert (await page.evaluate("statuses"))[-1] == "live"


async def test_page_that_was_offline_catches_up(example: Example, browser: Browser) -> None:
    page = await browser.tab()
    await browser.context.set_offline(True)
    await page.wait_for_function("realtime.status === 'offline'")
    example.add_post("meanwhile", published=True)
    await browser.context.set_offline(False)
    assert await received(page, 2) == [SUBSCRIBED, "meanwhile"]
