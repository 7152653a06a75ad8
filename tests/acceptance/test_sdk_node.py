"""The published SDK, unmodified, in Node."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from example_project.blog.demo import PASSWORD
from tests.example import AUTHOR, COLLEAGUE, STRANGER, Example


class Listener:
    """A Node process that prints the events of its user's stream."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def next(self) -> Any:
        """Return the next event as printed."""
        assert self.process.stdout is not None
        return json.loads(await asyncio.wait_for(self.process.stdout.readline(), 30))

    async def summary(self) -> tuple[str, str, object]:
        """Return the next event's action, table and text: a post's title, or a comment's body."""
        event = await self.next()
        record = event["record"]
        return event["action"], event["table"], record.get("title") or record.get("body") or record


@asynccontextmanager
async def listening(npm: Path, address: str, email: str) -> AsyncIterator[Listener]:
    """Sign in and subscribe in a separate process until the block ends; enter the block when the stream is open."""
    process = await asyncio.create_subprocess_exec(
        *("node", npm / "sdk_client.mjs", address, email, PASSWORD, "posts", "comments"), stdout=asyncio.subprocess.PIPE
    )
    try:
        listener = Listener(process)
        assert await listener.next() == "connected"
        yield listener
    finally:
        process.kill()
        await process.communicate()


async def test_sdk_in_node_receives_what_its_user_may_see(example: Example, npm: Path) -> None:
    async with AsyncExitStack() as stack:
        author, colleague, stranger = [
            await stack.enter_async_context(listening(npm, example.address, account.email))
            for account in (AUTHOR, COLLEAGUE, STRANGER)
        ]
        everyone = (author, colleague, stranger)

        # Each write waits until the previous one has arrived, since a record is sent as it is at delivery.
        draft = example.add_post("a draft", published=False)
        await assert_next(("create", "posts", "a draft"), author)
        news = example.add_post("news", published=True)
        await assert_next(("create", "posts", "news"), *everyone)
        example.write("update posts set title = 'newer' where id = %s", news)
        await assert_next(("update", "posts", "newer"), *everyone)
        example.add_comment("for the team")
        await assert_next(("create", "comments", "for the team"), author, colleague)
        example.write("update posts set published = true where id = %s", draft)
        await assert_next(("update", "posts", "a draft"), *everyone)
        example.write("delete from posts where id = %s", news)
        await assert_next(("delete", "posts", {"id": news}), *everyone)


async def assert_next(event: tuple[str, str, object], *listeners: Listener) -> None:
    """Expect this event next from each of these."""
    for listener in listeners:
        assert await listener.summary() == event


async def test_sdk_receives_the_whole_row(example: Example, npm: Path) -> None:
    async with listening(npm, example.address, AUTHOR.email) as author:
        post = example.add_post("whole", published=True)
        event = await author.next()
    record = event["record"]
    assert record["id"] == post
    assert record["author_id"] == str(AUTHOR.id)
    assert record["published"] is True
    assert record["created_at"].endswith("Z")
    assert set(record) == {"id", "author_id", "title", "body", "published", "created_at", "updated_at"}


async def test_draft_reaches_its_author_alone_and_a_new_author_from_then_on(example: Example, npm: Path) -> None:
    async with (
        listening(npm, example.address, AUTHOR.email) as author,
        listening(npm, example.address, STRANGER.email) as stranger,
    ):
        draft = example.add_post("a draft", published=False)
        await assert_next(("create", "posts", "a draft"), author)
        example.write("update posts set author_id = %s, title = 'handed over' where id = %s", STRANGER.id, draft)
        await assert_next(("update", "posts", "handed over"), stranger)
        example.write("update posts set title = 'rewritten' where id = %s", draft)
        await assert_next(("update", "posts", "rewritten"), stranger)
        # The delete reaches all of them. Nothing reaches the author before it.
        example.write("delete from posts where id = %s", draft)
        await assert_next(("delete", "posts", {"id": draft}), author, stranger)


async def test_membership_counts_from_the_next_event_on_in_a_stream_that_is_open(example: Example, npm: Path) -> None:
    async with (
        listening(npm, example.address, COLLEAGUE.email) as colleague,
        listening(npm, example.address, STRANGER.email) as stranger,
    ):
        early = example.add_comment("before")
        await assert_next(("create", "comments", "before"), colleague)
        example.write("insert into memberships (team_id, user_id) select id, %s from teams", STRANGER.id)
        example.add_comment("together")
        await assert_next(("create", "comments", "together"), colleague, stranger)
        example.write("update comments set body = 'before, edited' where id = %s", early)
        await assert_next(("update", "comments", "before, edited"), colleague, stranger)
        example.write("delete from memberships where user_id = %s", STRANGER.id)
        late = example.add_comment("after")
        await assert_next(("create", "comments", "after"), colleague)
        example.write("update comments set body = 'edited again' where id = %s", early)
        await assert_next(("update", "comments", "edited again"), colleague)
        # The delete reaches all of them. Nothing reaches the stranger before it.
        example.write("delete from comments where id = %s", late)
        await assert_next(("delete", "comments", {"id": late}), colleague, stranger)
