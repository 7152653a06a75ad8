"""The client in Chromium, as the example's static files serve it."""

import asyncio
import random
from collections.abc import Awaitable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page

from tests.acceptance.browser import LIVE, SUBSCRIBE, Browser, expect_posts
from tests.acceptance.documents import CLIENT, printed
from tests.example import STRANGER, Example

SUBSCRIBED = {"action": "reset", "reason": "subscribed", "tables": ["posts"]}


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


LIST = """
import { Realtime } from "/static/ayb_realtime/client.js";
const realtime = new Realtime({ token: () => freshToken() });
async function fetchPosts() {
  const headers = { Authorization: `Bearer ${await freshToken()}` };
  return (await (await fetch("/api/collections/posts?perPage=500", { headers })).json()).items;
}
%s
window.titles = () => [...rows.values()].map((row) => row.title).sort().join();
"""


async def test_live_rows_are_what_select_returns(example: Example, browser: Browser) -> None:
    page, tab = await browser.empty_tab(), await browser.empty_tab()
    await check_list(example, page, page.evaluate(LIVE))
    await check_list(example, tab, tab.evaluate(LIVE))
    example.add_post("for both", published=True)
    await expect_posts(example, page)
    await expect_posts(example, tab)


LIVE_FILTERED = """async () => {
  const { Realtime } = await import("/static/ayb_realtime/client.js");
  window.realtime = new Realtime({ token: () => freshToken() });
  const published = { filter: "published=is.true", fields: "title" };
  const options = [published, { filter: "nothing=eq.1" }, { filter: "id=eq.x" }, {}];
  window.lists = options.map((each) => realtime.live("posts", each));
  for (const list of lists) list.subscribe(() => {});
  window.shown = ({ rows }) => [...rows.values()].map((row) => `${Object.keys(row)} ${row.title}`).sort();
}"""


async def test_live_rows_are_those_of_their_filter_and_a_wrong_filter_is_denied_alone(
    example: Example, browser: Browser
) -> None:
    example.write("truncate posts cascade")
    kept = example.add_post("a", published=True)
    example.add_post("b", published=False)
    page = await browser.empty_tab()
    await page.evaluate(LIVE_FILTERED)
    await page.wait_for_function("lists.map(({ status }) => status).join() === 'live,denied,denied,live'")
    assert await page.evaluate("shown(lists[0])") == ["id,title a"]
    example.add_post("c", published=True)
    example.add_post("d", published=False)
    example.write("update posts set title = 'A' where id = %s", kept)
    await page.wait_for_function("shown(lists[0]).join('; ') === 'id,title A; id,title c'")
    assert len(await page.evaluate("shown(lists[3])")) == 4


@pytest.mark.parametrize("example", ["tests.acceptance.policy_settings"], indirect=True)
async def test_live_rows_of_a_filter_are_what_select_returns(example: Example, browser: Browser) -> None:
    chance = random.Random(1)
    ids = [example.add_post(f"a{number}", published=True) for number in range(4)]
    page = await browser.live_tab(filter="title=like.a%,published=is.true")

    def write() -> None:
        title = f"{chance.choice('ab')}{chance.random()}"
        if not ids or chance.random() < 0.3:
            ids.append(example.add_post(title, published=chance.random() < 0.5))
        elif chance.random() < 0.2:
            example.write("delete from posts where id = %s", ids.pop(chance.randrange(len(ids))))
        else:
            published = chance.random() < 0.5
            update = "update posts set title = %s, published = %s where id = %s"
            example.write(update, title, published, chance.choice(ids))

    for number in range(40):
        if number == 20:
            example.kill()
        write()
        if number == 30:
            example.start()
        if number % 5 == 0 and not 20 <= number < 30:
            await expect_posts(example, page, "title like 'a%%' and published")
    await expect_posts(example, page, "title like 'a%%' and published")


async def test_list_of_the_documentation_shows_what_select_returns(example: Example, browser: Browser) -> None:
    page = await browser.empty_tab()
    recipe = printed(CLIENT, "js", "function refetch")
    await check_list(example, page, page.add_script_tag(content=LIST % recipe, type="module"))


async def check_list(example: Example, page: Page, shows: Awaitable[object]) -> None:
    """Let a page show the posts, and expect in its ``titles()`` what SELECT returns after each kind of change."""
    kept = example.add_post("a", published=True)
    gone = example.add_post("b", published=True)
    await shows
    await expect_posts(example, page)
    example.add_post("c", published=False)
    example.write("update posts set title = 'A' where id = %s", kept)
    example.write("delete from posts where id = %s", gone)
    await expect_posts(example, page)
    example.kill()
    example.write("delete from posts where id = %s", kept)
    example.add_post("d", published=True)
    example.start()
    await expect_posts(example, page)
    example.write("truncate posts")
    await expect_posts(example, page)


async def test_tab_that_needs_another_table_gets_it_through_the_one_that_leads(
    example: Example, browser: Browser
) -> None:
    leader, other = await browser.tab(), await browser.tab()
    await other.evaluate("void realtime.subscribe('comments', (event) => events.push(event))")
    assert (await received(other, 2))[1] == {**SUBSCRIBED, "tables": ["comments"]}
    example.add_comment("for the team")
    example.add_post("for all", published=True)
    assert await received(leader, 2) == [SUBSCRIBED, "for all"]
    await other.wait_for_function("events.length >= 4")
    events = await other.evaluate("events")
    assert [event["table"] for event in events[2:]] == ["comments", "posts"]
    assert [parse_qs(urlsplit(url).query)["tables"] for url in browser.streams] == [["posts"], ["posts,comments"]]


SEE_FIELDS = """fields => {
  window.seen = [];
  realtime.subscribe("posts", ({ action, record }) => seen.push(record ?? action), { fields });
}"""


async def test_tabs_share_a_stream_of_each_view_of_a_table(example: Example, browser: Browser) -> None:
    tabs = [await browser.tab() for _ in range(4)]
    for tab, fields in zip(tabs, ("id", "id,title", "title", "id"), strict=True):
        await tab.evaluate(SEE_FIELDS, fields)
        await tab.wait_for_function("seen.length === 1")
    example.add_post("for all", published=True)
    whole = [await received(tab, 2) for tab in tabs]
    for tab in tabs:
        await tab.wait_for_function("seen.length === 2")
    seen = [await tab.evaluate("seen") for tab in tabs]
    assert whole == [[SUBSCRIBED, "for all"]] * 4
    assert [[first, sorted(record)] for first, record in seen] == [
        ["reset", columns] for columns in (["id"], ["id", "title"], ["id", "title"], ["id"])
    ]
    assert len(browser.streams) == 4  # of whole posts, and one for each list of fields
    await tabs[0].close()
    example.add_post("after", published=True)
    for tab in tabs[1:]:
        await tab.wait_for_function("seen.length === 3")


# Until the page has taken in what another tab says to it.
HEAR = """() => {
  window.heard = new Promise((resolve) => {
    const channel = new BroadcastChannel("ayb_realtime /api/realtime me");
    channel.onmessage = ({ data }) => data.method && setTimeout(resolve);
  });
}"""


async def test_tab_that_joins_before_the_stream_of_the_first_is_open_has_no_error(browser: Browser) -> None:
    leader, other = await browser.empty_tab(), await browser.empty_tab()
    errors: list[str] = []
    other.on("pageerror", lambda error: errors.append(error.message))
    await browser.context.route("**/api/realtime?*", lambda route: None)  # It is never answered.
    async with leader.expect_request("**/api/realtime?*"):
        await leader.evaluate(f"options => void ({SUBSCRIBE})(options)", {"tabs": "me"})
    await other.evaluate(HEAR)
    await other.evaluate(SUBSCRIBE, {"tabs": "me"})
    await other.evaluate("heard")
    assert errors == []


async def test_tab_that_hangs_loses_the_lead(example: Example, browser: Browser) -> None:
    leader, other = await browser.tab(), await browser.tab(heartbeatSeconds=0.5)
    hanging = asyncio.create_task(leader.evaluate("alert('a tab waits here')"))
    async with leader.expect_event("dialog") as dialog:
        pass
    example.add_post("meanwhile", published=True)
    assert await received(other, 2) == [SUBSCRIBED, "meanwhile"]
    await (await dialog.value).dismiss()
    await hanging
    assert await received(leader, 2) == [SUBSCRIBED, "meanwhile"]
    example.add_post("after", published=True)
    assert await received(leader, 3) == await received(other, 3) == [SUBSCRIBED, "meanwhile", "after"]


async def test_tabs_of_two_users_share_nothing(example: Example, browser: Browser) -> None:
    await browser.tab()
    browser.account = STRANGER
    stranger = await browser.tab()
    example.add_post("a draft of the author's", published=False)
    example.add_post("news", published=True)
    assert await received(stranger, 2) == [SUBSCRIBED, "news"]
    assert len(browser.streams) == 2


async def test_tab_that_is_frozen_hands_the_lead_on_and_catches_up(example: Example, browser: Browser) -> None:
    leader, other = await browser.tab(), await browser.tab()
    await leader.evaluate("void document.dispatchEvent(new Event('freeze'))")
    example.add_post("meanwhile", published=True)
    assert await received(other, 2) == [SUBSCRIBED, "meanwhile"]
    await leader.evaluate("void document.dispatchEvent(new Event('resume'))")
    lost = {**SUBSCRIBED, "reason": "position lost"}
    assert await received(leader, 2) == [SUBSCRIBED, lost]
    example.add_post("after", published=True)
    assert await received(leader, 3) == [SUBSCRIBED, lost, "after"]
    assert await received(other, 3) == [SUBSCRIBED, "meanwhile", "after"]


async def test_tabs_that_get_no_token_at_first_share_a_stream_nevertheless(example: Example, browser: Browser) -> None:
    browser.failures = 2
    tabs = [await browser.tab(), await browser.tab()]
    example.add_post("news", published=True)
    assert [await received(tab, 2) for tab in tabs] == [[SUBSCRIBED, "news"]] * 2
    assert len(browser.streams) == 1


HANG = """async () => {
  const { Realtime } = await import("/static/ayb_realtime/client.js");
  let asked = 0;
  const token = () => (asked++ ? freshToken() : new Promise(() => {}));
  window.realtime = new Realtime({ token, heartbeatSeconds: 0.2 });
  realtime.subscribe("posts", () => {});
}"""


async def test_page_whose_first_token_never_comes_asks_for_another(browser: Browser) -> None:
    page = await browser.empty_tab()
    await page.evaluate(HANG)
    await page.wait_for_function("realtime.status === 'offline' && realtime.message === 'no token came'")
    await page.wait_for_function("realtime.status === 'live'")


# As Firefox does where a page may store nothing.
NO_CHANNEL = """globalThis.BroadcastChannel = class {
  constructor() { throw new DOMException("The operation is insecure.", "SecurityError"); }
}"""


async def test_page_that_may_not_talk_to_other_tabs_has_a_stream_of_its_own(example: Example, browser: Browser) -> None:
    await browser.context.add_init_script(NO_CHANNEL)
    tabs = [await browser.tab() for _ in range(2)]
    example.add_post("news", published=True)
    assert [await received(tab, 2) for tab in tabs] == [[SUBSCRIBED, "news"]] * 2
    assert len(browser.streams) == 2


async def test_token_of_another_user_opens_no_stream_for_the_tabs_of_the_first(browser: Browser) -> None:
    page = await browser.tab()
    browser.account = STRANGER
    await page.evaluate("realtime.reconnect()")
    await page.wait_for_function("realtime.status === 'denied'")
    assert await page.evaluate("realtime.message") == "the user has changed"


LEAD = """() => {
  window.channel = new BroadcastChannel("ayb_realtime /api/realtime me");
  navigator.locks.request(channel.name, () => new Promise(() => {}));
}"""


LOST = {**SUBSCRIBED, "reason": "position lost"}
RESET = {**SUBSCRIBED, "reason": "the log has begun anew"}
TOLD = [
    SUBSCRIBED,
    "from 5 to 6",
    "from 7 to 9007199254740993",
    "from 9007199254740993 to 9007199254740993",
    LOST,
    "from 9007199254740994 to 9007199254740995",
    RESET,
    "from 3 to 4",
    LOST,
    LOST,
    "from 2 to 3",
]


async def test_tab_that_follows_skips_what_it_has_had_and_tells_what_it_has_missed(browser: Browser) -> None:
    leader, other = await browser.empty_tab(), await browser.empty_tab()
    await leader.evaluate(LEAD)
    await other.evaluate(SUBSCRIBE, {"tabs": "me"})

    async def tell(method: str, before: int, after: int, *values: object) -> None:
        message = {"method": method, "before": str(before), "after": str(after), "values": values}
        await leader.evaluate("message => channel.postMessage(message)", message)

    async def tell_post(before: int, after: int) -> None:
        post = {"action": "create", "table": "posts", "record": {"title": f"from {before} to {after}"}}
        await tell("event", before, after, post)

    await tell_post(3, 4)  # before it has been told of a stream
    await tell("opened", 4, 5, ["posts"], False)
    await tell_post(5, 6)
    await tell_post(5, 6)
    await tell("passed", 6, 7)
    await tell_post(7, 9007199254740993)
    await tell_post(9007199254740992, 9007199254740993)
    await tell_post(9007199254740993, 9007199254740993)  # without an id, as while a reset is due
    await tell_post(9007199254740994, 9007199254740995)
    await tell("event", 9007199254740995, 3, RESET)
    await tell_post(3, 4)
    await tell("opened", 3, 3, ["posts"], False)  # as of a tab that was not as far when it took the lead
    await tell_post(3, 4)
    await tell("opened", 5, 5, ["posts"], False)
    await tell("opened", 5, 2, ["posts"], True)
    await tell_post(2, 3)
    assert await received(other, 11) == TOLD
