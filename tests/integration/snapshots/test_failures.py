"""What a snapshot does while something changes, fails, or does not read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ayb_realtime.hub.admission import Answer
from ayb_realtime.hub.snapshots import sharing, snapshot_queue
from ayb_realtime.log import queries
from ayb_realtime.log import snapshots as log_snapshots
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.visibility import selection
from ayb_realtime.visibility.selection import Selection
from tests.integration.scenario import OWN, World, person, read_to_end, until
from tests.integration.snapshots.conftest import replica

# The transaction of a snapshot has locked the table.
HOLDS_LOCK = (
    "select exists (select from pg_locks"
    " where relation = 'notes'::regclass and mode = 'AccessShareLock' and pid <> pg_backend_pid())"
)


async def test_what_was_redacted_before_it_was_opened_is_in_no_snapshot(
    world: World, define: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first lock on another table, at the row 50, is when the session hears of the new function.
    allowed, body = (
        "function allowed(id int, author text)",
        "begin if id > 50 then perform from ones; end if; return {}; end",
    )
    returning = f"returns bool stable language plpgsql as '{body}'"
    world.table("ones", "id int primary key")
    define(allowed, returning.format("author = $$1$$"))
    world.table("notes", "id int primary key, author text, secret text", policy="allowed(id, author)")
    world.write("insert into notes select n, n % 2, 'secret' from generate_series(1, 100) n")
    fetch, pages = Selection._fetch, 0

    async def fetch_and_migrate(selected: Selection) -> Any:
        nonlocal pages
        pages += 1
        if pages == 2:
            world.write(
                "begin; update notes set secret = '' where author <> '1';"
                f" create or replace {allowed} {returning.format('true')}; commit"
            )
        return await fetch(selected)

    monkeypatch.setattr(Selection, "_fetch", fetch_and_migrate)
    monkeypatch.setattr(selection, "PAGE_ROWS", 40)
    # Not sorted, so that the policy runs page by page.
    monkeypatch.setitem(selection.PLANNER, "enable_seqscan", "off")
    async with world.relaying():
        view = await replica(world, person(1), "notes")
        leaked = []
        while (event := await view.next()).event != "ready":
            leaked += [row for row in event.json().get("records", ()) if row["secret"] and row["author"] != "1"]
    assert leaked == []
    assert view.resets == [ResetReason.DEFINITION_CHANGED]
    assert len(view.rows["notes"]) == 100


async def test_stream_ends_if_its_select_fails(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.table("notes", "id int primary key", policy="1 / (id - 1) > 0")
    async with world.relaying():
        world.insert("notes", 1)
        subscriber = await world.hub.subscribe(person(1), ["notes"], snapshot=True)
        assert b"ready" not in await read_to_end(subscriber)
    (line,) = [line for line in caplog.messages if "snapshot" in line]
    assert line.endswith("a snapshot of notes for ayb_authenticated failed: division by zero")


async def test_client_that_leaves_between_a_reset_and_its_snapshot_comes_back_to_a_snapshot(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        world.insert("notes", 1)
        view = await (await replica(world, person(1), "notes")).ready()
        # A reset that does not come again: when the client is back, there is an answer.
        (subscriber,) = world.hub.open_streams()
        subscriber.reset(ResetReason.UNANSWERED, subscriber.relations)
        assert (await view.next()).event == "reset"
        assert view.rows == {}
        world.insert("notes", 2)
        view = await replica(world, person(1), "notes", after=view.position)
        await view.until("notes", 2)
        assert view.rows == {"notes": {1: {"id": 1}, 2: {"id": 2}}}


async def test_client_that_does_not_read_its_snapshot_holds_no_lock_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.table("notes", "id int primary key, body text")
    world.write("insert into notes select n, repeat('x', 10000) from generate_series(1, 300) n")
    monkeypatch.setattr(sharing, "PATIENCE_SECONDS", 0.1)
    async with world.relaying():
        subscriber = await world.hub.subscribe(person(1), ["notes"], snapshot=True)
        await until(world.owner, HOLDS_LOCK)
        await asyncio.to_thread(world.write, "begin; lock table notes in access exclusive mode; commit")
        assert subscriber.ended
        assert b"ready" not in await read_to_end(subscriber)


async def test_snapshot_gives_way_to_a_session_that_waits_for_its_locks(
    world: World, define: Callable[[str, str], None]
) -> None:
    body = "begin perform pg_sleep(600); return true; end"
    define("function slow()", f"returns bool language plpgsql as '{body}'")
    world.table("notes", "id int primary key", policy="slow()")
    async with world.relaying():
        view = await replica(world, person(1), "notes")
        world.insert("notes", 1)
        await until(world.owner, HOLDS_LOCK)
        await asyncio.to_thread(world.write, "alter policy p on notes using (true)")
        await view.ready()
    assert view.rows["notes"] == {1: {"id": 1}}


async def test_those_that_ask_for_the_same_share_the_reading(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.table("notes", "id int primary key, author text", policy=OWN)
    may_read = asyncio.Event()
    reading, read = log_snapshots.begin, 0

    async def wait_and_read(connection: queries.Connection) -> tuple[int, str]:
        nonlocal read
        read += 1
        await may_read.wait()
        return await reading(connection)

    monkeypatch.setattr(log_snapshots, "begin", wait_and_read)
    async with world.relaying():
        views = [await replica(world, person(who), "notes") for who in [1] * 30 + [2] * 30]
        may_read.set()
        await asyncio.gather(*(view.ready() for view in views))
    assert read <= 2 + snapshot_queue.READ


async def test_table_that_was_recreated_is_sent_as_it_is_now(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.table("notes", "id int primary key")
    answer = await world.hub._admission.ask(person(1).role)

    async def asked(_: str) -> Answer:
        return answer

    monkeypatch.setattr(world.hub._admission, "ask", asked)
    world.write("drop table notes")
    world.table("notes", "id int primary key, body text default 'new'")
    async with world.relaying():
        world.insert("notes", 1)
        subscriber = await world.hub.subscribe(person(1), ["notes"], snapshot=True)
        async with asyncio.timeout(30):
            sent = b""
            while b"event: ready" not in sent:
                sent += await anext(subscriber)
        assert b'"records":[{"id":1,"body":"new"}]' in sent


async def test_table_that_is_recreated_before_its_snapshot_is_numbered_is_followed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.table("notes", "id int primary key")
    seen_positions, may_look = log_snapshots.seen_positions, asyncio.Event()

    async def look(*given: Any, **named: Any) -> Any:
        await may_look.wait()
        return await seen_positions(*given, **named)

    monkeypatch.setattr(log_snapshots, "seen_positions", look)
    async with world.relaying():
        live = await world.stream(person(1), "notes")
        view = await replica(world, person(1), "notes")
        while (await view.next()).event != "snapshot":
            pass
        # Not before the snapshot's transaction, whose locks a DROP waits for, has ended.
        await asyncio.to_thread(world.write, "drop table notes")
        world.table("notes", "id int primary key")
        while (await live.next()).event != "reset":
            pass
        may_look.set()
        await view.ready()
        world.insert("notes", 1)
        await view.until("notes", 1)


async def test_snapshot_that_fails_in_an_unknown_way_ends_no_other_stream(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.table("notes", "id int primary key")

    async def fail(_: queries.Connection) -> Any:
        raise ZeroDivisionError("not known")

    monkeypatch.setattr(log_snapshots, "begin", fail)
    async with world.relaying():
        live = await world.stream(person(1), "notes")
        subscriber = await world.hub.subscribe(person(1), ["notes"], snapshot=True)
        assert b"ready" not in await read_to_end(subscriber)
        world.insert("notes", 1)
        assert await live.next_ids(1) == [1]
    assert "a snapshot of notes for ayb_authenticated failed: not known" in caplog.text
