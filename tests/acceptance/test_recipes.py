"""What docs/client.md prints for pages without the client, in Chromium, with tokens that live three seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page

from example_project.blog.demo import PASSWORD
from tests.acceptance.documents import CLIENT, printed
from tests.example import AUTHOR, Example

LIVES = 4

LOG_IN = """async ([email, password]) => {
  const post = async (path, body) => {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    return await response.json();
  };
  let tokens = await post("/api/auth/login", { email, password });
  window.lives = 0;
  window.freshToken = async () => {
    tokens = await post("/api/auth/refresh", { refreshToken: tokens.refreshToken });
    window.ends = JSON.parse(atob(tokens.token.split(".")[1])).exp * 1000;
    window.lives += 1;
    return tokens.token;
  };
  window.titles = [];
  window.fetched = 0;
  window.show = ({ record }) => titles.push(record.title);
  window.fetchAll = () => fetched += 1;
}"""

SDK = """async ([email, password]) => {
  const { AYBClient } = await import("/sdk.js");
  const { Realtime } = await import("/static/ayb_realtime/client.js");
  window.titles = [];
  window.sources = [];
  window.EventSource = class extends EventSource {
    constructor(url) {
      super(url);
      sources.push(this);
    }
  };
  window.show = ({ record }) => record && titles.push(record.title);
  window.ayb = new AYBClient(location.origin);
  window.Realtime = Realtime;
  await ayb.auth.login(email, password);
  window.lives = 0;
  const refresh = ayb.auth.refresh.bind(ayb.auth);
  ayb.auth.refresh = () => (lives += 1, refresh());
}"""


@pytest.fixture
def example(seeded_url: str, tmp_path: Path) -> Iterator[Example]:
    """The running example, whose access tokens live three seconds."""
    example = Example(seeded_url, tmp_path, DJANGO_SETTINGS_MODULE="tests.acceptance.brief_settings")
    example.start()
    yield example
    example.stop()
    assert "Traceback" not in example.log()


async def prepare(page: Page, example: Example, script: str) -> None:
    """Open an empty page of the example's origin, and run a script in it."""
    await page.route("**/empty", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    await page.goto(f"{example.address}/empty")
    await page.evaluate(script, [AUTHOR.email, PASSWORD])


async def received(page: Page, titles: list[str]) -> None:
    """Wait for as many posts as these, and expect them to be these."""
    await page.wait_for_function("number => titles.length >= number", arg=len(titles))
    assert await page.evaluate("titles") == titles


async def write_until(page: Page, example: Example, condition: str) -> list[str]:
    """Write posts, each after the last one has arrived, until a condition holds in the page; return their titles."""
    titles: list[str] = []
    while not await page.evaluate(condition):
        titles.append(f"post {len(titles)}")
        example.add_post(titles[-1], published=True)
        await received(page, titles)
    return titles


async def test_event_source_of_the_page_goes_on_over_lives_of_a_token_and_over_sleep(
    example: Example, page: Page
) -> None:
    await prepare(page, example, LOG_IN)
    await page.add_script_tag(content=printed(CLIENT, "js", "new EventSource"))
    await page.wait_for_function("fetched === 1")
    titles = await write_until(page, example, f"lives > {LIVES}")
    example.kill()
    example.add_post("meanwhile", published=True)
    # As after sleep: it comes back with a token that has expired, and is refused.
    await page.wait_for_function("Date.now() > ends + 1000")
    example.start()
    await received(page, [*titles, "meanwhile"])
    assert await page.evaluate("fetched") == 1


@pytest.fixture
def sdk(npm: Path) -> str:
    """The SDK's module for browsers."""
    return (npm / "node_modules/@allyourbase/js/dist/index.js").read_text()


async def prepare_sdk(page: Page, example: Example, sdk: str) -> None:
    """Open a page whose user has logged in by the SDK."""
    await page.route("**/sdk.js", lambda route: route.fulfill(body=sdk, content_type="text/javascript"))
    await prepare(page, example, SDK)


async def test_sdk_alone_is_silent_once_its_token_has_expired(example: Example, page: Page, sdk: str) -> None:
    await prepare_sdk(page, example, sdk)
    await page.evaluate("ayb.realtime.subscribe(['posts'], show)")
    await page.wait_for_function("sources[0].readyState === EventSource.CLOSED")
    example.add_post("unheard", published=True)
    await page.evaluate("ayb.auth.refresh()")
    assert await page.evaluate("titles") == []


async def test_sdk_with_the_client_goes_on_over_lives_of_a_token(example: Example, page: Page, sdk: str) -> None:
    await prepare_sdk(page, example, sdk)
    await page.add_script_tag(content=printed(CLIENT, "js", "ayb.auth.refresh"))
    await page.wait_for_function("realtime.status === 'live'")
    await write_until(page, example, f"lives > {LIVES}")
