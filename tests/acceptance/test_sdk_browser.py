"""The published SDK, unmodified, in Chromium with its own EventSource."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from example_project.blog.demo import PASSWORD, Account
from tests.example import AUTHOR, COLLEAGUE, Example

SUBSCRIBE = """async ([email, password]) => {
  const { AYBClient } = await import("/sdk.js");
  const ayb = new AYBClient(location.origin);
  await ayb.auth.login(email, password);
  window.events = [];
  const Native = window.EventSource;
  const opened = new Promise((resolve) => {
    window.EventSource = class extends Native {
      constructor(url) {
        super(url);
        this.addEventListener("connected", resolve);
      }
    };
  });
  ayb.realtime.subscribe(["posts"], (event) => window.events.push(event));
  await opened;
}"""


@pytest.fixture
def sdk(npm: Path) -> str:
    """The SDK's module for browsers."""
    return (npm / "node_modules/@allyourbase/js/dist/index.js").read_text()


async def subscribe(page: Page, example: Example, account: Account, sdk: str) -> None:
    """Open an empty page of the example's origin, sign in and subscribe; events gather in ``window.events``."""
    await page.route("**/sdk.js", lambda route: route.fulfill(body=sdk, content_type="text/javascript"))
    await page.route("**/empty", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    await page.goto(f"{example.address}/empty")
    await page.evaluate(SUBSCRIBE, [account.email, PASSWORD])


async def received(page: Page, count: int) -> list[tuple[str, Any]]:
    """Wait for ``count`` events; return each one's action and title, or its whole record where it has no title."""
    await page.wait_for_function("count => window.events.length >= count", arg=count)
    events = await page.evaluate("window.events")
    return [(event["action"], event["record"].get("title", event["record"])) for event in events]


async def test_sdk_in_chromium_receives_what_its_user_may_see(example: Example, page: Page, sdk: str) -> None:
    await subscribe(page, example, COLLEAGUE, sdk)
    draft = example.add_post("a draft", published=False)
    # Each write waits until the previous one has arrived, since a record is sent as it is at delivery.
    news = example.add_post("news", published=True)
    expected: list[tuple[str, Any]] = [("create", "news")]
    assert await received(page, 1) == expected
    example.write("update posts set title = 'newer' where id = %s", news)
    expected.append(("update", "newer"))
    assert await received(page, 2) == expected
    example.write("update posts set published = true where id = %s", draft)
    expected.append(("update", "a draft"))
    assert await received(page, 3) == expected
    example.write("delete from posts where id = %s", news)
    expected.append(("delete", {"id": news}))
    assert await received(page, 4) == expected


async def test_author_in_chromium_receives_their_own_draft(example: Example, page: Page, sdk: str) -> None:
    await subscribe(page, example, AUTHOR, sdk)
    example.add_post("mine", published=False)
    assert await received(page, 1) == [("create", "mine")]


async def test_killed_server_loses_nothing_for_a_browser(example: Example, page: Page, sdk: str) -> None:
    await subscribe(page, example, AUTHOR, sdk)
    example.add_post("before", published=True)
    await received(page, 1)
    example.kill()
    example.add_post("meanwhile", published=True)
    example.start()
    await received(page, 2)
    example.add_post("after", published=True)
    assert await received(page, 3) == [("create", "before"), ("create", "meanwhile"), ("create", "after")]
