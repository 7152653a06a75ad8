"""A snapshot that is locked out, slow or no longer wanted holds up no other one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from ayb_realtime.hub.snapshots import giving_way, sharing, snapshot_queue, snapshots
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.identity import Identity
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.visibility.selection import Selection, selection
from tests.integration.scenario import Owner, Stream, World, person, read_to_end, until
from tests.integration.snapshots.conftest import Replica, replica
from tests.integration.snapshots.test_failures import HOLDS_LOCK

OPEN = range(1, 1 + snapshot_queue.OPEN)
HOLDS_NO_LOCK = f"select not ({HOLDS_LOCK.removeprefix('select ')})"
CATCHES = "begin loop begin perform pg_sleep(60); exception when query_canceled then null; end; end loop; end"


async def test_policy_that_catches_its_cancellation_keeps_no_lock(
    world: World, define: Callable[[str, str], None]
) -> None:
    define("function catches()", f"returns bool language plpgsql as '{CATCHES}'")
    world.table("notes", "id int primary key", policy="catches()")
    async with world.relaying():
        view = await replica(world, person(1), "notes")
        world.insert("notes", 1)
        await until(world.owner, HOLDS_LOCK)
        async with asyncio.timeout(30):
            await asyncio.to_thread(world.write, "alter policy p on notes using (true)")
        await view.ready()
    assert view.rows["notes"] == {1: {"id": 1}}


async def test_streams_end_if_their_policy_catches_every_cancellation(
    world: World, define: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(giving_way, "HOLD_SECONDS", 1.0)
    define("function catches()", f"returns bool language plpgsql as '{CATCHES}'")
    world.table("notes", "id int primary key", policy="catches()")
    async with world.relaying():
        world.insert("notes", 1)
        subscriber = await world.hub.subscribe(person(1), ["notes"], snapshot=True)
        assert b"ready" not in await read_to_end(subscriber)


async def test_locked_table_holds_up_no_snapshot_of_another(world: World, owner: Owner) -> None:
    world.table("notes", "id int primary key")
    world.table("files", "id int primary key")
    world.insert("files", 1)
    async with world.relaying():
        with psycopg.connect(owner.info.dsn, password=owner.info.password) as another:
            another.execute("lock table notes in access exclusive mode")
            locked_out = [await replica(world, person(who), "notes") for who in OPEN]
            view = await (await replica(world, person(9), "files")).ready()
            assert view.rows["files"] == {1: {"id": 1}}
        for each in locked_out:
            await each.ready()


async def test_snapshot_ends_when_the_last_client_has_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.table("notes", "id int primary key, body text")
    world.write("insert into notes select n, repeat('x', 10000) from generate_series(1, 300) n")
    monkeypatch.setattr(sharing, "PATIENCE_SECONDS", 600)
    fetch, pages = Selection._fetch, 0

    async def counted(selected: Selection) -> Any:
        nonlocal pages
        pages += 1
        return await fetch(selected)

    monkeypatch.setattr(Selection, "_fetch", counted)
    async with world.relaying():
        subscriber = await world.hub.subscribe(person(1), ["notes"], snapshot=True)
        async with asyncio.timeout(30):
            while b"event: snapshot" not in await anext(subscriber):
                pass
        await until(world.owner, HOLDS_LOCK)
        world.hub.leave(subscriber)
        await until(world.owner, HOLDS_NO_LOCK)
    assert pages <= 3


async def test_identity_that_asks_for_many_snapshots_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a", "b", "c", "d"]
    for name in names:
        world.table(name, "id int primary key")
    read, may_read = list[Identity](), asyncio.Event()

    @asynccontextmanager
    async def waiting(connection: Any, filters: Any, identity: Identity) -> AsyncIterator[Selection]:
        read.append(identity)
        await may_read.wait()
        async with selection(connection, filters, identity) as selected:
            yield selected

    monkeypatch.setattr(snapshots, "selection", waiting)
    async with world.relaying():
        greedy = [await replica(world, person(1), first, second) for first in names for second in names]
        other = await replica(world, person(2), "a")
        may_read.set()
        await asyncio.gather(*(view.ready() for view in [*greedy, other]))
    assert person(2) in read[: snapshot_queue.READ]


async def test_resets_that_come_together_are_followed_by_one_snapshot(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        world.insert("notes", 1)
        view = await (await replica(world, person(1), "notes")).ready()
        (subscriber,) = world.hub.open_streams()
        for _ in range(2):
            subscriber.reset(ResetReason.UNANSWERED, subscriber.relations)
        await view.ready()
        world.insert("notes", 2)
        await view.until("notes", 2)
        assert view.told["notes"] == [("create", 2)]


def large_table(world: World) -> None:
    """Make a table whose rows are more than is sent to a client that does not read."""
    world.table("notes", "id int primary key, body text")
    world.write("insert into notes select n, repeat('x', 10000) from generate_series(1, 30) n")


async def silent_clients(world: World, *user_ids: int) -> list[Subscriber]:
    """Open streams of clients that read nothing."""
    return [await world.hub.subscribe(person(who), ["notes"], snapshot=True) for who in user_ids]


async def test_clients_that_do_not_read_hold_up_no_other_and_miss_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "PATIENCE_SECONDS", 600)
    large_table(world)
    async with world.relaying():
        silent = await silent_clients(world, 1, 2, 3, 4)
        view = await (await replica(world, person(9), "notes")).ready()
        world.insert("notes", 31)
        await view.until("notes", 31)
        for each in silent:
            late = await Replica(Stream(each), "").ready()
            assert len(late.rows["notes"]) == 30
            await late.until("notes", 31)
            assert late.told["notes"] == [("create", 31)]


async def test_clients_that_do_not_read_are_ended_when_no_more_snapshots_may_be_open(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "PATIENCE_SECONDS", 600)
    monkeypatch.setattr(sharing, "CROWDED_SECONDS", 0.2)
    large_table(world)
    async with world.relaying():
        silent = await silent_clients(world, *OPEN)
        view = await (await replica(world, person(99), "notes")).ready()
        assert len(view.rows["notes"]) == 30
        assert any(each.ended for each in silent)
        for each in silent:
            world.hub.leave(each)
        await until(world.owner, HOLDS_NO_LOCK)


@pytest.mark.parametrize("is_shared", [True, False])
async def test_client_that_does_not_read_is_ended_if_others_of_its_identity_wait(
    world: World, monkeypatch: pytest.MonkeyPatch, is_shared: bool
) -> None:
    monkeypatch.setattr(sharing, "PATIENCE_SECONDS", 600)
    monkeypatch.setattr(sharing, "CROWDED_SECONDS", 0.2)
    large_table(world)
    turns = world.hub._snapshots._waiting._turns
    async with world.relaying():
        for _ in range(snapshot_queue.READ if is_shared else 0):
            await turns.acquire()
        (silent,) = await silent_clients(world, 1)
        view = await replica(world, person(1), "notes")
        for _ in range(snapshot_queue.READ if is_shared else 0):
            turns.release()
        await view.ready()
        assert len(view.rows["notes"]) == 30
        assert silent.ended
