"""A stream that asks for a snapshot begins with the rows that its SELECT finds, and goes on from exactly there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from ayb_realtime.hub.snapshots import sharing
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.visibility import selection
from ayb_realtime.visibility.selection import Selection
from tests.integration.scenario import OWN, Owner, World, person
from tests.integration.snapshots.conftest import replica, selected


async def test_stream_begins_with_its_own_rows_in_the_keys_order_and_goes_on(world: World) -> None:
    world.table("notes", "id int primary key, author text, at timestamptz default '2026-01-01 00:00+00'", policy=OWN)
    world.write("grant select on notes to ayb_authenticated")
    world.write("insert into notes select n, 1 + n % 2 from generate_series(1, 1000) n")
    async with world.relaying():
        view = await (await replica(world, person(1), "notes")).ready()
        assert list(view.rows["notes"]) == list(range(2, 1001, 2))
        assert view.rows["notes"][2] == {"id": 2, "author": "1", "at": "2026-01-01T00:00:00Z"}
        world.write("insert into notes values (1001, 1), (1002, 2)")
        world.write("insert into notes values (1003, 1)")
        await view.until("notes", 1003)
        assert view.told["notes"] == [("create", 1001), ("create", 1003)]


async def test_nothing_is_missed_or_repeated_while_rows_are_written(world: World, settings: Any) -> None:
    # All that is written until the last stream is open waits in the buffer of the first.
    settings.AYB_REALTIME = {**settings.AYB_REALTIME, "BUFFER_BYTES": 64 << 20}
    world.table("notes", "id int primary key, author text, n int default 0", policy=OWN)
    world.write("insert into notes select n, 1 + n % 2 from generate_series(1, 500) n")
    is_over = asyncio.Event()

    async def write() -> None:
        chance, last = random.Random(1), 500
        while not is_over.is_set():
            last += 1
            row_id = chance.randint(1, last)
            statement = chance.choice(
                [
                    f"insert into notes values ({last}, {1 + last % 2})",
                    f"update notes set n = n + 1 where id = {row_id}",
                    f"update notes set n = n + 1 where id between {row_id} and {row_id + 5}",
                    f"delete from notes where id = {row_id}",
                ]
            )
            await asyncio.to_thread(world.write, statement)

    async with world.relaying():
        writing = [asyncio.create_task(write())]
        views = [await (await replica(world, person(1 + n % 2), "notes")).ready() for n in range(40)]
        is_over.set()
        await asyncio.gather(*writing)
        world.write("insert into notes values (1000001, 1), (1000002, 2)")
        for n, view in enumerate(views):
            who = 1 + n % 2
            await view.until("notes", 1000000 + who)
            assert view.rows["notes"] == selected(world.owner, person(who), "notes")
            created = [row_id for action, row_id in view.told["notes"] if action == "create"]
            assert len(created) == len(set(created))


async def test_change_that_the_snapshot_sees_is_not_told_although_one_before_it_is(world: World, owner: Owner) -> None:
    world.table("notes", "id int primary key")
    with psycopg.connect(owner.info.dsn, password=owner.info.password) as another:
        another.execute("insert into notes values (1)")
        world.insert("notes", 2)
        view = await replica(world, person(1), "notes")
        await view.until("notes", 2)
    async with world.relaying():
        await view.ready()
        world.insert("notes", 3)
        await view.until("notes", 3)
        assert view.told["notes"] == [("create", 1), ("create", 3)]


async def test_client_that_names_a_position_gets_no_snapshot(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        world.insert("notes", 1)
        view = await (await replica(world, person(1), "notes")).ready()
        world.insert("notes", 2)
        resumed = await replica(world, person(1), "notes", after=view.position)
        assert (await resumed.next()).id
        assert (await resumed.next()).json()["record"] == {"id": 2}


async def test_client_whose_position_is_too_old_gets_a_reset_and_a_snapshot(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        world.insert("notes", 1)
        view = await replica(world, person(1), "notes", after="1")
        await view.ready()
        assert view.resets == [ResetReason.NO_LONGER_HELD]
        assert view.rows == {"notes": {1: {"id": 1}}}


async def test_each_reset_is_followed_by_a_snapshot(world: World) -> None:
    world.table("notes", "id int primary key")
    world.table("files", "id int primary key")
    async with world.relaying():
        world.insert("notes", 1)
        world.insert("files", 1)
        view = await (await replica(world, person(1), "notes", "files")).ready()
        for reason, statement in (
            (ResetReason.TRUNCATED, "truncate notes; insert into notes values (2)"),
            (ResetReason.ALTERED, "alter table notes disable trigger all; alter table notes enable trigger all"),
        ):
            world.write(statement)
            while (await view.next()).event != "reset":
                pass
            await view.ready()
            assert view.resets[-1] == reason
            assert view.rows == {"notes": {2: {"id": 2}}, "files": {1: {"id": 1}}}
        world.insert("files", 2)
        await view.until("files", 2)


async def test_table_that_is_empty_or_that_the_role_may_not_read_has_an_empty_snapshot(world: World) -> None:
    world.table("notes", "id int primary key")
    world.table("secrets", "id int primary key")
    world.write("revoke all on secrets from public, ayb_authenticated")
    async with world.relaying():
        world.insert("secrets", 1)
        view = await (await replica(world, person(1), "notes", "secrets")).ready()
        assert view.rows == {"notes": {}, "secrets": {}}


async def test_rows_are_written_as_events_write_them(world: World, define: Callable[[str, str], None]) -> None:
    define("type mood", "as enum ('calm')")
    define("type pair", "as (a int, b mood)")
    world.table("notes", "id int primary key, at timestamptz, mood mood, pair pair, hidden text, doc json, n numeric")
    world.write("revoke select on notes from ayb_authenticated")
    world.write("grant select (id, at, mood, pair, doc, n) on notes to ayb_authenticated")
    row = "now(), 'calm', (1, 'calm'), 'x', E'{\"a\":\\n [1, 2.50]}', 1.10"
    async with world.relaying():
        world.write(f"alter table notes disable trigger user; insert into notes values (1, {row})")
        world.write("alter table notes enable trigger user")
        before = await (await replica(world, person(1), "notes")).ready()
        while (await before.next()).event != "reset":  # The relay sees that triggers were off.
            pass
        await before.ready()
        live = await world.stream(person(1), "notes")
        world.write("update notes set hidden = 'y'")
        record = (await live.next_change())["record"]
        after = await (await replica(world, person(1), "notes")).ready()
        assert before.rows["notes"] == after.rows["notes"] == {1: record}
        assert "hidden" not in record


async def test_large_table_comes_in_pages_of_so_many_bytes_and_rows_however_wide_the_rows_become(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, fetch = list[list[str]](), Selection._fetch

    async def fetched(selected: Selection) -> list[str]:
        pages.append(await fetch(selected))
        return pages[-1]

    monkeypatch.setattr(Selection, "_fetch", fetched)
    world.table("notes", "id int primary key, body text")
    # 5,000 rows of a few bytes, 60 of 60,000, and 300 of each size up to 30,000.
    world.write("insert into notes select n, 'x' from generate_series(1, 5000) n")
    world.write("insert into notes select n, repeat('x', 60000) from generate_series(5001, 5060) n")
    world.write("insert into notes select n, repeat('x', (n % 7) * 5000) from generate_series(5061, 5360) n")
    async with world.relaying():
        view = await replica(world, person(1), "notes")
        events = []
        while (event := await view.next()).event != "ready":
            events.append(event)
        assert max(len(event.data) for event in events) < sharing.PART_CHARACTERS + 61_000
        assert max(len("".join(page)) for page in pages) < selection.PAGE_CHARACTERS + 61_000
        assert max(map(len, pages)) == selection.PAGE_ROWS
        assert len(pages) < 3 + 60 // 2 + 300 * 15_000 // selection.PAGE_CHARACTERS + 3
        assert list(view.rows["notes"]) == list(range(1, 5361))


async def test_page_that_the_last_row_fills_is_the_last(world: World) -> None:
    world.table("notes", "id int primary key, body text")
    world.write(f"insert into notes select 1, repeat('x', {selection.PAGE_CHARACTERS})")
    async with world.relaying():
        view = await replica(world, person(1), "notes")
        events = [(await view.next()).event for _ in range(3)]
        assert events == ["connected", "snapshot", "ready"]
