"""The hub: what a stream gets, through each layer, without one, and after a resume."""

import asyncio
import re
import signal
import subprocess
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from channels.layers import BaseChannelLayer, InMemoryChannelLayer

from ayb_realtime.exceptions import PositionUnavailable, UnknownTable
from ayb_realtime.hub import draining, feed, replay
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.registry import close_hub, get_hub
from ayb_realtime.hub.subscriber import Subscriber
from ayb_realtime.identity import ANONYMOUS_ROLE, Identity
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Batch, Change
from ayb_realtime.log.messages import to_message
from ayb_realtime.postgres import database, tables
from embedded.postgres import bundled_binaries
from example_project.blog.models import Post, User
from tests.integration.scenario import (
    OWN,
    MakeTable,
    Owner,
    Stream,
    group_of,
    open_stream,
    person,
    relaying,
    subscribed,
)


async def read_to_end(subscriber: Subscriber) -> bytes:
    """Return what is left in a stream that has ended."""
    async with asyncio.timeout(30):
        return b"".join([chunk async for chunk in subscriber])


def insert(owner: Owner, table: str, *ids: int) -> None:
    """Insert one row after the other, each in a transaction of its own."""
    for row_id in ids:
        owner.execute(f"insert into {table} (id) values (%s)".encode(), [row_id])


async def next_ids(stream: Stream, count: int) -> list[int]:
    """Return the ids of the next changes."""
    return [(await stream.next_change())["record"]["id"] for _ in range(count)]


async def caught_up(the_hub: Hub, owner: Owner) -> int:
    """Return the position of a change made now, once it was delivered: earlier tests' changes are behind it."""
    stream = await open_stream(the_hub, person(1), "notes")
    insert(owner, "notes", -1)
    event = await stream.next()
    assert event.json()["record"]["id"] == -1
    return int(event.id)


async def log_head(the_hub: Hub, at_least: int) -> int:
    """Return the head of the log, once it is there."""
    async with the_hub._pool.connection() as connection:
        while (head := await queries.head(connection)) < at_least:
            await asyncio.to_thread(lambda: None)
    return head


async def test_changes_through_each_layer_reach_exactly_who_may_see_them(
    layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key, author text, body text", policy=OWN)
    async with relaying(layer):
        mine = await open_stream(the_hub, person(1), "notes")
        theirs = await open_stream(the_hub, person(2), "notes")
        owner.execute("insert into notes values (1, '1', 'first')")
        record = {"id": 1, "author": "1", "body": "first"}
        assert await mine.next_change() == {"action": "create", "table": "notes", "record": record}
        owner.execute("update notes set body = 'second'")
        assert await mine.next_change() == {
            "action": "update",
            "table": "notes",
            "record": {**record, "body": "second"},
        }
        owner.execute("delete from notes")
        delete = {"action": "delete", "table": "notes", "record": {"id": 1}}
        assert await mine.next_change() == delete
        assert await theirs.next_change() == delete


async def test_stream_gets_only_the_tables_it_names(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    make_table("other", "id int primary key")
    async with relaying(memory_layer):
        notes = await open_stream(the_hub, person(1), "notes")
        both = await open_stream(the_hub, person(1), "notes", "other")
        insert(owner, "other", 1)
        insert(owner, "notes", 2)
        assert await next_ids(notes, 1) == [2]
        assert await next_ids(both, 2) == [1, 2]


async def test_positions_are_dense_and_are_the_event_ids(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        begin = await caught_up(the_hub, owner)
        stream = await open_stream(the_hub, person(1), "notes")
        insert(owner, "notes", 1, 2, 3)
        assert [int((await stream.next()).id) for _ in range(3)] == [begin + 1, begin + 2, begin + 3]


async def test_silent_layer_only_costs_time(the_hub: Hub, owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    unheard = InMemoryChannelLayer()
    async with relaying(unheard):
        stream = await open_stream(the_hub, person(1), "notes")
        insert(owner, "notes", 1, 2)
        assert await next_ids(stream, 2) == [1, 2]


async def test_positions_that_the_layer_lost_are_read_from_the_log(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    owner: Owner,
    make_table: MakeTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_table("notes", "id int primary key")
    # Nobody asks the log out of impatience: the only way to the lost changes is to notice that they are missing.
    monkeypatch.setattr(feed, "SILENCE_SECONDS", 3600)
    async with relaying(memory_layer):
        begin = await caught_up(the_hub, owner)
    stream = await open_stream(the_hub, person(1), "notes")
    async with relaying(InMemoryChannelLayer()):
        insert(owner, "notes", 1, 2, 3)
        head = await log_head(the_hub, begin + 3)
    await memory_layer.group_send(group_of(the_hub), to_message(Batch(head), group_of(the_hub)))
    assert await next_ids(stream, 3) == [1, 2, 3]


async def test_batch_that_comes_twice_is_delivered_once(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    stream = await open_stream(the_hub, person(1), "notes")
    async with relaying(DoublingLayer(memory_layer)):
        insert(owner, "notes", 1, 2, 3)
        assert await next_ids(stream, 3) == [1, 2, 3]


class DoublingLayer(BaseChannelLayer):
    """Sends everything twice, through another layer."""

    def __init__(self, layer: BaseChannelLayer) -> None:
        super().__init__()
        self.layer = layer

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send twice."""
        await self.layer.group_send(group, message)
        await self.layer.group_send(group, message)


async def test_more_changes_than_the_layer_holds_all_arrive_in_order(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key, body text")
    async with relaying(memory_layer):
        stream = await open_stream(the_hub, person(1), "notes")
        owner.execute("insert into notes select n, repeat('x', 200) from generate_series(1, 3000) n")
        assert await next_ids(stream, 3000) == list(range(1, 3001))


async def test_change_that_is_too_large_for_the_layer_arrives(
    layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key, body text")
    async with relaying(layer):
        stream = await open_stream(the_hub, person(1), "notes")
        owner.execute("insert into notes values (1, repeat('x', 3000000))")
        assert len((await stream.next_change())["record"]["body"]) == 3000000


async def test_resume_goes_on_after_the_given_position_without_gap_or_repetition(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        begin = await caught_up(the_hub, owner)
        live = await open_stream(the_hub, person(1), "notes")
        insert(owner, "notes", 1, 2, 3)
        assert await next_ids(live, 3) == [1, 2, 3]
        resumed = await open_stream(the_hub, person(1), "notes", after=begin + 1)
        insert(owner, "notes", 4)
        assert await next_ids(resumed, 3) == [2, 3, 4]


async def test_resumes_while_changes_flow_miss_nothing_and_repeat_nothing(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")

    async def write() -> None:
        for row_id in range(1, 1501):
            await asyncio.to_thread(insert, owner, "notes", row_id)

    async with relaying(memory_layer):
        begin = await caught_up(the_hub, owner)
        writing = asyncio.create_task(write())
        streams = []
        for _ in range(20):
            await asyncio.to_thread(owner.execute, "select pg_sleep(0.01)")
            streams.append(await open_stream(the_hub, person(1), "notes", after=begin))
        await writing
        for stream in streams:
            assert await next_ids(stream, 1500) == list(range(1, 1501))


async def test_fresh_streams_while_changes_flow_begin_at_one_position_and_miss_nothing_after_it(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")

    async def write() -> None:
        for row_id in range(1, 601):
            await asyncio.to_thread(insert, owner, "notes", row_id)

    async with relaying(memory_layer):
        begin = await caught_up(the_hub, owner)
        writing = asyncio.create_task(write())
        fresh = []
        while not writing.done():
            subscriber = await subscribed(the_hub, person(1), "notes")
            fresh.append((subscriber.position - begin, Stream(subscriber)))
            await asyncio.to_thread(owner.execute, "select pg_sleep(0.02)")
        for position, stream in fresh:
            assert await next_ids(stream, 600 - position) == list(range(position + 1, 601))


async def test_resume_beyond_the_log_is_refused(the_hub: Hub, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    with pytest.raises(PositionUnavailable):
        await open_stream(the_hub, person(1), "notes", after=await log_head(the_hub, 0) + 1)


async def test_resume_beyond_the_hub_but_not_the_log_waits_for_the_hub(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    owner: Owner,
    make_table: MakeTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_table("notes", "id int primary key")
    monkeypatch.setattr(feed, "SILENCE_SECONDS", 3600)
    async with relaying(memory_layer):
        begin = await caught_up(the_hub, owner)
    async with relaying(InMemoryChannelLayer()):
        insert(owner, "notes", 1, 2)
        head = await log_head(the_hub, begin + 2)
        stream = await open_stream(the_hub, person(1), "notes", after=head)
        insert(owner, "notes", 3)
        await log_head(the_hub, head + 1)
    await memory_layer.group_send(group_of(the_hub), to_message(Batch(head + 1), group_of(the_hub)))
    assert await next_ids(stream, 1) == [3]


async def test_subscriber_that_does_not_read_is_ended_and_others_are_not(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable, settings: Any
) -> None:
    settings.AYB_REALTIME = {"BUFFER_BYTES": 10_000}
    make_table("notes", "id int primary key, body text")
    async with relaying(memory_layer):
        slow = await subscribed(the_hub, person(1), "notes")
        settings.AYB_REALTIME = {}
        reader = await open_stream(the_hub, person(2), "notes")
        for row_id in range(20):
            owner.execute("insert into notes values (%s, repeat('x', 1000))", [row_id])
            assert await next_ids(reader, 1) == [row_id]
        assert slow not in the_hub.subscribers
        received = await read_to_end(slow)
        assert 0 < len(received) <= 10_000
        assert received.endswith(b"\n\n")
        last = received.count(b"\nid: ") + received.startswith(b"id: ")
        resumed = await open_stream(the_hub, person(1), "notes", after=the_hub.position - 20 + last)
        assert await next_ids(resumed, 20 - last) == list(range(last, 20))


async def test_truncate_tells_clients_to_fetch_again(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        stream = await open_stream(the_hub, person(1), "notes")
        owner.execute("truncate notes")
        event = await stream.next()
        assert (event.event, event.json()) == ("reset", {"reason": "table truncated", "tables": ["notes"]})
        insert(owner, "notes", 1)
        assert await next_ids(stream, 1) == [1]


async def test_transaction_shows_only_the_final_state_of_each_row(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key, body text")
    async with relaying(memory_layer):
        stream = await open_stream(the_hub, person(1), "notes")
        with owner.transaction():
            owner.execute("insert into notes values (1, 'a'), (2, 'gone')")
            owner.execute("update notes set body = 'b'")
            owner.execute("delete from notes where id = 2")
        insert(owner, "notes", 3)
        first, second = await stream.next_change(), await stream.next_change()
        assert first == {"action": "create", "table": "notes", "record": {"id": 1, "body": "b"}}
        assert second["record"]["id"] == 3


async def test_role_that_may_not_read_the_table_gets_not_even_its_deletes(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id text primary key")
    make_table("other", "id int primary key")
    owner.execute("revoke select on notes from ayb_authenticated")
    async with relaying(memory_layer):
        stream = await open_stream(the_hub, person(1), "notes", "other")
        owner.execute("insert into notes values ('secret')")
        owner.execute("update notes set id = 'secret too'")
        owner.execute("delete from notes")
        owner.execute("truncate notes")
        insert(owner, "other", 1)
        assert await next_ids(stream, 1) == [1]


async def test_users_of_one_role_share_the_bytes_where_no_policy_tells_them_apart(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key, secret text")
    make_table("drafts", "id int primary key, author text", policy=OWN)
    owner.execute("grant select (id) on notes to ayb_anonymous")
    anonymous = Identity(ANONYMOUS_ROLE, (("ayb.user_id", "1"),))
    async with relaying(memory_layer):
        mine, theirs = await subscribed(the_hub, person(1), "notes"), await subscribed(the_hub, person(2), "notes")
        nobody = await open_stream(the_hub, anonymous, "notes")
        other = await open_stream(the_hub, person(2), "notes", "drafts")
        with owner.transaction():
            owner.execute("insert into drafts values (1, '1'), (2, '2')")
            owner.execute("insert into notes values (3, 'for users')")
        async with asyncio.timeout(30):
            chunk = await anext(mine)
            assert chunk is await anext(theirs)
        assert b'{"id":3,"secret":"for users"}' in chunk
        assert (await nobody.next_change())["record"] == {"id": 3}
        assert await next_ids(other, 2) == [2, 3]


async def test_key_that_includes_a_column_does_not_send_it(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int, secret text, primary key (id) include (secret)", policy="false")
    async with relaying(memory_layer):
        stream = await open_stream(the_hub, person(1), "notes")
        owner.execute("insert into notes values (1, 'x')")
        owner.execute("update notes set secret = 'y'")
        owner.execute("delete from notes")
        assert await stream.next_change() == {"action": "delete", "table": "notes", "record": {"id": 1}}


@pytest.mark.parametrize("rename", ["table notes rename to renamed", "table notes rename column id to number"])
async def test_rename_while_changes_are_checked_loses_none(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    owner: Owner,
    make_table: MakeTable,
    database_url: str,
    rename: str,
    settings: Any,
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 60}
    make_table("notes", "id int primary key, body text", policy="true")
    async with relaying(memory_layer):
        stream = await open_stream(the_hub, person(1), "notes")
        with psycopg.connect(database_url) as migration:
            migration.execute("insert into notes values (1, 'x')")
            migration.commit()
            migration.execute("lock table notes in access exclusive mode")
            waiting = asyncio.create_task(stream.next())
            blocked = "select exists (select from pg_locks where not granted and relation = 'notes'::regclass)"
            while not (owner.execute(blocked).fetchone() or [False])[0]:
                await asyncio.to_thread(owner.execute, "select pg_sleep(0.01)")
            migration.execute(f"alter {rename}".encode())
        event = await waiting
    if "column" in rename:
        # It was logged under another name: what it is called now can only be fetched.
        assert (event.event, event.json()["reason"]) == ("reset", "table definition changed")
    else:
        assert event.json() == {"action": "create", "table": "renamed", "record": {"id": 1, "body": "x"}}
    owner.execute("drop table if exists renamed")


async def test_key_of_another_type_has_to_be_fetched(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id text primary key", policy="true")
    async with relaying(memory_layer):
        stream = await open_stream(the_hub, person(1), "notes")
        owner.execute("insert into notes values ('0')")
        begin = int((await stream.next()).id)
        while begin % feed.SLICE_CHANGES > feed.SLICE_CHANGES - 5:
            # All that follows is to be in one run.
            owner.execute("insert into notes values (%s)", [str(1000 + begin % 1000)])
            begin = int((await stream.next()).id)
        owner.execute("insert into notes values ('a')")
        assert (await stream.next_change())["record"] == {"id": "a"}
        owner.execute("update notes set id = '1' where id = 'a'")
        # What was delivered before it resumes, it gets in one run.
        assert [(await stream.next_change())["action"] for _ in range(2)] == ["delete", "create"]
        owner.execute("alter table notes alter id type int using id::int")
        resumed = await open_stream(the_hub, person(1), "notes", after=begin)
        event = await resumed.next()
        assert (event.event, event.json()["reason"]) == ("reset", "table definition changed")
        owner.execute("insert into notes values (2)")
        assert (await resumed.next_change())["record"] == {"id": 2}


async def test_closing_the_hub_ends_streams_that_are_behind_too(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        begin = await caught_up(the_hub, owner)
        insert(owner, "notes", *range(100))
        behind = await subscribed(the_hub, person(1), "notes", after=begin)
        await the_hub.close()
    assert behind.ended


async def test_log_that_begins_anew_tells_every_stream_to_fetch_again(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        begin = await caught_up(the_hub, owner)
        stream = await open_stream(the_hub, person(1), "notes")
        insert(owner, "notes", 1)
        assert await next_ids(stream, 1) == [1]
    owner.execute("update ayb_realtime.epoch set place = 'another'")
    async with relaying(memory_layer):
        insert(owner, "notes", 2)
        reset = await stream.next()
        assert (reset.event, reset.json()["tables"]) == ("reset", ["notes"])
        insert(owner, "notes", 3)
        while (change := await stream.next_change())["record"]["id"] != 3:
            assert change["record"]["id"] == 2
        with pytest.raises(PositionUnavailable):
            await open_stream(the_hub, person(1), "notes", after=begin)


async def test_log_whose_positions_go_back_tells_every_stream_to_fetch_again(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        await caught_up(the_hub, owner)
        stream = await open_stream(the_hub, person(1), "notes")
        insert(owner, "notes", *range(1, 100))
        assert await next_ids(stream, 99) == list(range(1, 100))
    # As if the schema had been dropped and made again while the hub was there.
    owner.execute("truncate ayb_realtime.change, ayb_realtime.batch")
    owner.execute("insert into ayb_realtime.batch values (0, 1, 0, '3:3:', '3:3:', 0, 0)")
    async with relaying(memory_layer):
        reset = await stream.next()
        assert (reset.event, reset.json()["reason"]) == ("reset", "the log has begun anew")
        insert(owner, "notes", 100)
        assert await next_ids(stream, 1) == [100]


async def test_position_that_was_pruned_cannot_be_resumed_after(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        begin = await caught_up(the_hub, owner)
        async with await database.connect("default") as connection:
            for row_id in range(1, 10):
                insert(owner, "notes", row_id)
                await log_head(the_hub, begin + row_id)
                assert await queries.prune(connection, keep_hours=0)
        with pytest.raises(PositionUnavailable, match="no longer holds"):
            await open_stream(the_hub, person(1), "notes", after=begin)


async def test_table_that_is_made_again_is_followed_after_a_reset(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        stream = await open_stream(the_hub, person(1), "notes")
        owner.execute("drop table notes")
        make_table("notes", "id int primary key, body text")
        owner.execute("insert into notes values (1, 'x')")
        reset = await stream.next()
        assert (reset.event, reset.json()) == ("reset", {"reason": "table made anew", "tables": ["notes"]})
        insert(owner, "notes", 2)
        while (await stream.next_change())["record"]["id"] != 2:
            pass


MADE_ANEW = """
drop table notes; create table notes (id int primary key); grant select on notes to ayb_authenticated;
select ayb_realtime.enable_v1('notes')
"""
UNLOGGED_MEANWHILE = (
    "select ayb_realtime.disable_v1('notes'); delete from notes; select ayb_realtime.enable_v1('notes')"
)


@pytest.mark.parametrize("statements", [MADE_ANEW, UNLOGGED_MEANWHILE])
@pytest.mark.parametrize("away", [True, False])
async def test_table_that_was_changed_behind_the_log_is_to_be_fetched_again(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable, statements: str, away: bool
) -> None:
    make_table("others", "id int primary key")
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        position = await caught_up(the_hub, owner)
        if not away:
            stream = await open_stream(the_hub, person(1), "notes", "others", after=position)
        owner.execute(statements.encode())
        insert(owner, "notes", 2)
        if away:
            stream = await open_stream(the_hub, person(1), "notes", "others", after=position)
        events = [await stream.next(), await stream.next()]
        assert sorted(event.event for event in events) == ["message", "reset"]
        (reset,) = (event for event in events if event.event == "reset")
        assert reset.json() == {"reason": "table made anew", "tables": ["notes"]}
        # Once is enough.
        insert(owner, "notes", 3)
        assert await next_ids(stream, 1) == [3]


async def test_stream_that_opens_on_a_table_just_enabled_has_nothing_to_fetch_again(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    owner.execute(UNLOGGED_MEANWHILE.encode())
    stream = await open_stream(the_hub, person(1), "notes")
    async with relaying(memory_layer):
        for row_id in (1, 2):
            insert(owner, "notes", row_id)
            assert await next_ids(stream, 1) == [row_id]


async def test_stream_of_a_table_that_was_made_again_while_it_joined_is_followed_too(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        await caught_up(the_hub, owner)
        watcher = await open_stream(the_hub, person(2), "notes")
        resolved = await the_hub.resolve(["notes"])
        owner.execute("drop table notes")
        make_table("notes", "id int primary key")
        insert(owner, "notes", 1)
        assert (await watcher.next()).event == "reset"
        assert await next_ids(watcher, 1) == [1]
        stream = Stream(await the_hub.subscribe(person(1), resolved))
        insert(owner, "notes", 2)
        assert (await stream.next()).event == "reset"
        assert await next_ids(stream, 1) == [2]


async def test_reset_while_the_layer_talks_goes_on_where_the_feed_does(
    the_hub: Hub, owner: Owner, make_table: MakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumped = asyncio.Event()
    jump = the_hub._feed._jump

    def noted(head: int) -> None:
        jump(head)
        jumped.set()

    monkeypatch.setattr(the_hub._feed, "_jump", noted)
    make_table("notes", "id int primary key, body text")
    stream = Stream(await subscribed(the_hub, person(1), "notes"))
    async with await database.connect("default") as connection:
        insert(owner, "notes", 1)
        await queries.next_batch(connection)
        owner.execute("truncate ayb_realtime.change")
        gone = await queries.head(connection)
        # As a joiner does: the feed finds out that the change is gone, but the hub has to wait for its turn.
        async with the_hub._turn:
            the_hub._feed.accept(Batch(gone))
            await jumped.wait()
            for row_id in (2, 3, 4):
                owner.execute("insert into notes values (%s, repeat('x', 150000))", [row_id])
            await queries.next_batch(connection)
            the_hub._feed.accept(Batch(gone + 3))
    events = [await stream.next() for _ in range(4)]
    assert [(event.event, int(event.id) - gone) for event in events] == [
        ("reset", 0), ("message", 1), ("message", 2), ("message", 3),
    ]  # fmt: skip


def noted_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note from now on after which position the log is read, each time."""
    reads: list[int] = []
    read = queries.read

    async def noted(connection: Any, *, after: int, **options: Any) -> list[Change]:
        reads.append(after)
        return await read(connection, after=after, **options)

    monkeypatch.setattr(queries, "read", noted)
    return reads


async def write_at_length(the_hub: Hub, owner: Owner, begin: int) -> None:
    """Write five thousand letters in one transaction, then a note; the layer hears of none of them."""
    owner.execute("insert into letters select n, repeat('x', 100) from generate_series(1, 5000) n")
    async with relaying(InMemoryChannelLayer()):
        insert(owner, "notes", 1)
        await log_head(the_hub, begin + 5001)


@pytest.mark.parametrize("resumes", [False, True])
async def test_what_no_stream_is_of_is_not_read(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    owner: Owner,
    make_table: MakeTable,
    monkeypatch: pytest.MonkeyPatch,
    resumes: bool,
) -> None:
    make_table("notes", "id int primary key")
    make_table("letters", "id int primary key, body text")
    async with relaying(memory_layer):
        begin = await caught_up(the_hub, owner)
    stream = await open_stream(the_hub, person(1), "notes")
    reads = noted_reads(monkeypatch)
    await write_at_length(the_hub, owner, begin)
    assert await next_ids(stream, 1) == [1]
    if resumes:
        reads.clear()
        assert await next_ids(await open_stream(the_hub, person(2), "notes", after=begin), 1) == [1]
    assert len(reads) <= 2


async def test_stream_of_what_was_not_read_that_joins_before_it_is_delivered_gets_all_of_it(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    owner: Owner,
    make_table: MakeTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_table("notes", "id int primary key")
    make_table("letters", "id int primary key, body text")
    async with relaying(memory_layer):
        begin = await caught_up(the_hub, owner)
    comes, has_read = asyncio.Event(), asyncio.Event()
    check_role, repair = the_hub._catalog.check_role, the_hub._feed._repair

    async def checked(role: str) -> None:
        await check_role(role)
        comes.set()

    async def noted(unread: Any) -> Any:
        run = await repair(unread)
        assert run is not None
        assert run.changes == ()
        has_read.set()
        return run

    monkeypatch.setattr(the_hub._catalog, "check_role", checked)
    async with the_hub._turn:
        joining = asyncio.create_task(open_stream(the_hub, person(1), "letters"))
        await comes.wait()
        monkeypatch.setattr(the_hub._feed, "_repair", noted)
        await write_at_length(the_hub, owner, begin)
        await has_read.wait()
        monkeypatch.setattr(the_hub._feed, "_repair", repair)
    assert await next_ids(await joining, 5000) == list(range(1, 5001))


async def test_streams_that_resume_together_share_the_reading(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    owner: Owner,
    make_table: MakeTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        begin = await caught_up(the_hub, owner)
        owner.execute("insert into notes select generate_series(1, 3000)")
        follower = await open_stream(the_hub, person(0), "notes")
        insert(owner, "notes", 3001)
        while (await follower.next_change())["record"]["id"] != 3001:
            pass
        reads = noted_reads(monkeypatch)
        streams = [await open_stream(the_hub, person(n), "notes", after=begin) for n in range(50)]
        ids = await asyncio.gather(*(next_ids(stream, 3001) for stream in streams))
    assert ids == [list(range(1, 3002))] * 50
    # Seven runs of 500, and again for those who were not yet there or had not yet read.
    assert len(reads) < 50


@pytest.mark.parametrize(("kept_runs", "is_read_again"), [(replay.KEPT_SLICES, False), (2, True)])
async def test_streams_that_resume_one_after_the_other_share_the_reading_as_far_as_it_is_kept(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    owner: Owner,
    make_table: MakeTable,
    monkeypatch: pytest.MonkeyPatch,
    kept_runs: int,
    is_read_again: bool,
) -> None:
    monkeypatch.setattr(replay, "KEPT_SLICES", kept_runs)
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        begin = await caught_up(the_hub, owner)
        owner.execute("insert into notes select generate_series(1, 1500)")
        await log_head(the_hub, begin + 1500)
        follower = await open_stream(the_hub, person(0), "notes", after=begin + 1499)
        assert await next_ids(follower, 1) == [1500]
        reads = noted_reads(monkeypatch)
        await open_stream(the_hub, person(0), "notes", after=begin)  # does not read, and so is on the way for long
        for n in range(5):
            stream = await open_stream(the_hub, person(n), "notes", after=begin + n)
            assert await next_ids(stream, 1500 - n) == list(range(n + 1, 1501))
    assert (len(reads) > len(set(reads))) == is_read_again
    # Each from where it began, and from there on the stretches of all.
    assert len(set(reads)) <= 5 + 1500 / feed.SLICE_CHANGES + 1


async def test_thousands_that_come_back_at_once_share_what_they_ask_and_read(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    owner: Owner,
    make_table: MakeTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        begin = await caught_up(the_hub, owner)
        insert(owner, "notes", *range(1, 21))
        await log_head(the_hub, begin + 20)
        asked: list[str] = []
        for module, name in ((tables, "streamed"), (queries, "bounds"), (queries, "read")):
            monkeypatch.setattr(module, name, counting(asked, getattr(module, name)))
        coming = [open_stream(the_hub, person(n % 3), "notes", after=begin) for n in range(5000)]
        streams = await asyncio.gather(*coming)
        ids = await asyncio.gather(*(next_ids(stream, 20) for stream in streams))
    assert ids == [list(range(1, 21))] * 5000
    assert len(asked) < 50


def counting(calls: list[str], ask: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same question, but note each time that it is put."""

    async def noted(*arguments: Any, **options: Any) -> Any:
        calls.append(ask.__name__)
        return await ask(*arguments, **options)

    return noted


async def test_hundred_thousand_rows_of_one_statement_all_arrive_in_order(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        subscriber = await subscribed(the_hub, person(1), "notes")
        owner.execute("insert into notes select generate_series(1, 100000)")
        received = b""
        async with asyncio.timeout(120):
            while not received.endswith(b'{"id":100000}}\n\n'):
                received += await anext(subscriber)
    ids = [int(number) for number in re.findall(rb'"record":\{"id":(\d+)\}', received)]
    assert ids == list(range(1, 100_001))


async def test_two_phase_commit_of_a_quiet_table_arrives_once_it_commits(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key", enable=False)
    owner.execute("select ayb_realtime.enable_v1('notes', false)")
    name = uuid4().hex
    async with relaying(memory_layer):
        stream = await open_stream(the_hub, person(1), "notes")
        owner.execute("begin")
        insert(owner, "notes", 1)
        owner.execute(f"prepare transaction '{name}'".encode())
        insert(owner, "notes", 2)
        assert await next_ids(stream, 1) == [2]
        owner.execute(f"commit prepared '{name}'".encode())
        assert await next_ids(stream, 1) == [1]


async def test_lost_database_connections_are_replaced_and_nothing_is_lost(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        stream = await open_stream(the_hub, person(1), "notes")
        for row_id in range(5):
            owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()"
            )
            insert(owner, "notes", row_id)
        assert await next_ids(stream, 5) == [0, 1, 2, 3, 4]


async def test_table_that_is_not_streamed_is_unknown(the_hub: Hub, make_table: MakeTable) -> None:
    make_table("plain", "id int primary key", enable=False)
    with pytest.raises(UnknownTable, match="unknown table: plain"):
        await open_stream(the_hub, person(1), "plain")


async def test_table_in_public_is_found_before_its_namesake(the_hub: Hub, owner: Owner, make_table: MakeTable) -> None:
    owner.execute("create schema aside")
    make_table("aside.notes", "id int primary key")
    assert [table.schema for table in await the_hub.resolve(["notes"])] == ["aside"]
    make_table("notes", "id int primary key")
    assert [table.schema for table in await the_hub.resolve(["notes"])] == ["public"]
    owner.execute("drop schema aside cascade")


async def test_databases_that_share_a_layer_have_groups_of_their_own(the_hub: Hub, database_url: str) -> None:
    other_database = psycopg.conninfo.make_conninfo(database_url, dbname="template1")
    async with await psycopg.AsyncConnection.connect(other_database) as connection:
        assert await queries.group(connection) != group_of(the_hub)


async def test_hub_that_has_failed_ends_its_streams_and_is_replaced(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    async def fail() -> None:
        raise RuntimeError("a part of the hub, for once")

    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        subscriber = await subscribed(the_hub, person(1), "notes")
        await asyncio.wait([the_hub._background.run(fail())])
        assert await read_to_end(subscriber) == b""
        first, second = await asyncio.gather(get_hub(), get_hub())
        assert first is second is not the_hub
        stream = await open_stream(first, person(1), "notes")
        insert(owner, "notes", 1)
        assert await next_ids(stream, 1) == [1]


async def test_event_loop_has_one_hub(the_hub: Hub) -> None:
    assert await get_hub() is the_hub


async def test_write_of_every_kind_arrives_and_a_rolled_back_one_never_does(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable, database_url: str
) -> None:
    make_table("squads", "id int primary key", enable=False)
    make_table("notes", "id int primary key, team int references squads on delete cascade")
    owner.execute("insert into squads values (1)")
    async with relaying(memory_layer):
        await caught_up(the_hub, owner)
        stream = await open_stream(the_hub, person(uuid4()), "notes", "posts")

        psql = [str(bundled_binaries() / "psql"), database_url, "--no-psqlrc", "--quiet", "--command"]
        await asyncio.to_thread(subprocess.run, [*psql, "insert into notes values (1, 1)"], check=True)
        assert (await stream.next_change())["record"] == {"id": 1, "team": 1}

        with owner.transaction(force_rollback=True):
            owner.execute("insert into notes values (666, 1)")

        with owner.cursor() as cursor, cursor.copy("copy notes from stdin") as copy:
            copy.write_row((2, 1))
            copy.write_row((3, 1))
        assert await next_ids(stream, 2) == [2, 3]

        author = await User.objects.acreate(email="author@example.com")
        post = await Post.objects.acreate(author=author, title="by the ORM", published=True)
        change = await stream.next_change()
        assert (change["table"], change["record"]["id"], change["record"]["title"]) == ("posts", post.id, "by the ORM")
        assert change["record"]["created_at"].endswith("Z")

        owner.execute("delete from squads")
        deletes = [await stream.next_change() for _ in range(3)]
        assert {change["action"] for change in deletes} == {"delete"}
        assert sorted(change["record"]["id"] for change in deletes) == [1, 2, 3]


async def test_streams_end_on_the_signal_that_stops_the_server_and_later_ones_stay_open(
    memory_layer: BaseChannelLayer, database_url: str, owner: Owner, make_table: MakeTable, monkeypatch: Any
) -> None:
    monkeypatch.setattr(draining, "LATECOMERS_SECONDS", 0.0)
    make_table("notes", "id int primary key")
    handled: list[int] = []
    handler = lambda number, _: handled.append(number)  # noqa: E731 - signal.getsignal is compared with it
    before = signal.signal(signal.SIGTERM, handler)
    try:
        the_hub = await get_hub()
        stopped = await subscribed(the_hub, person(1), "notes")
        signal.raise_signal(signal.SIGTERM)
        assert re.search(rb"^retry: \d+\n\n\Z", await read_to_end(stopped), re.MULTILINE)
        assert handled == [signal.SIGTERM]
        # The process lives on.
        await the_hub.end_streams()
        async with relaying(memory_layer):
            later = await open_stream(the_hub, person(1), "notes")
            insert(owner, "notes", 1)
            assert await next_ids(later, 1) == [1]
        await close_hub()
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
        await close_hub()


async def test_stream_that_was_on_its_way_in_ends_too(the_hub: Hub, owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    notes = await the_hub.resolve(["notes"])
    early = await the_hub.subscribe(person(1), notes)
    ending = the_hub.end_streams()
    await read_to_end(early)
    late = await the_hub.subscribe(person(1), notes)
    await read_to_end(late)
    await ending


async def test_close_ends_streams_with_their_last_words(the_hub: Hub, owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    streams = [await subscribed(the_hub, person(number), "notes") for number in range(3)]
    await close_hub()
    for stream in streams:
        assert re.fullmatch(rb"retry: \d+\n\n", await read_to_end(stream))


async def test_change_that_comes_while_the_log_is_asked_for_its_end_resets_no_stream(
    owner: Owner, make_table: MakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table("notes", "id int primary key")
    head_of = queries.head
    async with database.pool() as pool, await database.connect("default") as relay:
        the_feed = feed.Feed(pool)
        await the_feed.start()
        asked: list[int] = []

        async def overtaken(connection: queries.Connection) -> int:
            head = await head_of(connection)
            if not asked:
                owner.execute("insert into notes values (1)")
                batch = await queries.next_batch(relay)
                assert batch is not None
                the_feed.accept(batch)
            asked.append(head)
            return head

        monkeypatch.setattr(queries, "head", overtaken)
        monkeypatch.setattr("ayb_realtime.hub.feed.SILENCE_SECONDS", 0.01)
        run = await the_feed.next(frozenset)
        assert [change.action for change in run.changes] == ["create"]
        assert asked
