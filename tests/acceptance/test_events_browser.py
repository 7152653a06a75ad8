"""Chromium's EventSource reads what the encoder writes, as httpx-sse does."""

from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.async_api import Page

from ayb_realtime.wire import sse
from tests.fuzz.values import texts
from tests.integration.fuzz.test_bytes import read

# "error" and "open" are events of an EventSource itself.
names = st.just("message") | texts.filter(
    lambda name: name not in ("", "error", "open") and not set("\r\n\0") & set(name)
)

LISTEN = """(names) => new Promise((resolve) => {
  const seen = [];
  const source = new EventSource("/stream");
  const note = (event) => seen.push([event.data, event.type, event.lastEventId]);
  for (const name of names) source.addEventListener(name, note);
  source.onerror = () => { source.close(); resolve(seen); };
})"""


def drawn() -> list[tuple[str, str]]:
    """Return the data and names of events, as Hypothesis draws them."""
    found: list[tuple[str, str]] = []

    @given(st.lists(st.tuples(texts.filter(bool), names), min_size=5, max_size=5))
    @settings(max_examples=100, derandomize=True, database=None, deadline=None)
    def draw(events: list[tuple[str, str]]) -> None:
        found.extend(events)

    draw()
    return found


async def test_events_with_any_data_and_name_are_read_by_a_browser(page: Page) -> None:
    events = [sse.encode(data, event=name, id=str(at)) + sse.heartbeat(None) for at, (data, name) in enumerate(drawn())]
    stream = sse.retry(60_000) + b"".join(events)
    expected = [[event.data, event.event, event.id] for event in read(stream)]
    headers = {"content-type": "text/event-stream"}
    await page.context.route("**/empty", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    await page.context.route("**/stream", lambda route: route.fulfill(body=stream, headers=headers))
    await page.goto("http://127.0.0.1/empty")
    assert await page.evaluate(LISTEN, list({name: None for _, name, _ in expected})) == expected
    assert len(expected) == len(events) >= 500
