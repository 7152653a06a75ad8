"""A row that leaves a stream's filter: a delete where old rows are asked about, and nothing where they are not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.filters.conftest import filtered, subscribed, told
from tests.integration.scenario import OWN, Stream, World, person
from tests.integration.snapshots.conftest import Replica, selected


@pytest.fixture(params=[OWN, ""], ids=["row security", "none"])
def notes(request: pytest.FixtureRequest, world: World) -> World:
    policy = {"policy": request.param} if request.param else {}
    world.table("notes", "id int primary key, author text, status text", **policy)
    return world


@pytest.fixture
def by_policy(settings: Any, world: World) -> Iterator[None]:
    settings.AYB_REALTIME = {"DELETE_VISIBILITY": "policy"}
    yield
    world.write("select setval('ayb_realtime.keeps_before', 0)")


@pytest.mark.usefixtures("by_policy")
async def test_row_that_matched_and_does_not_is_deleted(notes: World) -> None:
    async with notes.relaying():
        published = await filtered(notes, person(1), "notes", "status=eq.published")
        drafts = await filtered(notes, person(1), "notes", "status=eq.draft")
        everything = await filtered(notes, person(1), "notes")
        notes.write("insert into notes values (1, 1, 'published'), (2, 1, 'draft')")
        assert await told(published, 1) == [("create", 1)]
        assert await told(drafts, 1) == [("create", 2)]
        notes.write("update notes set status = 'draft' where id = 1")
        assert await told(published, 1) == [("delete", 1)]
        assert await told(drafts, 1) == [("update", 1)]
        notes.write("delete from notes where id = 1")
        notes.write("insert into notes values (3, 1, 'published')")
        assert await told(published, 1) == [("create", 3)], "it was not told of a row that it did not have"
        assert await told(drafts, 1) == [("delete", 1)]
        assert await told(everything, 5) == [
            ("create", 1), ("create", 2), ("update", 1), ("delete", 1), ("create", 3)
        ]  # fmt: skip


@pytest.mark.usefixtures("by_policy")
async def test_row_that_leaves_a_filter_on_a_generated_column_is_deleted(world: World) -> None:
    kind = "virtual" if world.owner.info.server_version >= 180000 else "stored"
    generated = f"twice int generated always as (n * 2) {kind}"
    world.table("notes", f"id int primary key, author text, n int, {generated}", policy=OWN)
    async with world.relaying():
        stream = await subscribed(world, person(1), "notes", "twice=gt.9,n=lt.50", snapshot=True)
        view = await Page(Stream(stream), "").ready()
        world.write("insert into notes values (1, 1, 5), (2, 1, 4), (3, 1, 6), (4, 2, 7)")
        await view.until("notes", 3)
        assert view.rows["notes"].keys() == {1, 3}
        assert view.rows["notes"][1] == {"id": 1, "author": "1", "n": 5, "twice": 10}
        world.write("update notes set n = 3 where id = 1")
        world.write("delete from notes where id = 3; update notes set n = 8 where id = 2")
        await view.until("notes", 2)
        assert view.rows["notes"].keys() == {2}


async def test_deletes_are_not_filtered_where_everyone_is_told(notes: World) -> None:
    async with notes.relaying():
        published = await filtered(notes, person(1), "notes", "status=eq.published")
        notes.write("insert into notes values (1, 1, 'published'), (2, 1, 'draft')")
        assert await told(published, 1) == [("create", 1)]
        notes.write("update notes set status = 'draft' where id = 1")
        notes.write("delete from notes where id = 2")
        assert await told(published, 1) == [("delete", 2)]


WANTED: dict[str, Callable[[Any], bool]] = {
    "status=eq.a": lambda row: row["status"] == "a",
    "status=in.a|b,n=gt.5": lambda row: row["status"] in ("a", "b") and row["n"] is not None and row["n"] > 5,
    "n=is.null": lambda row: row["n"] is None,
}


class Page(Replica):
    """A client that takes a create as an update: a row that has been created again since was perhaps sent before."""

    def _apply(self, change: Any) -> None:
        super()._apply({**change, "action": change["action"].replace("create", "update")})


@pytest.mark.usefixtures("by_policy")
@pytest.mark.parametrize("policy", [OWN, ""])
async def test_lists_with_a_filter_become_what_select_finds(world: World, policy: str) -> None:
    world.table("notes", "id int primary key, author text, status text, n int", policy=policy)
    world.write("grant select on notes to ayb_authenticated")
    is_over = asyncio.Event()

    async def write() -> None:
        chance = random.Random(3)
        while not is_over.is_set():
            statements = [_statement(chance) for _ in range(chance.randint(1, 3))]
            await asyncio.to_thread(world.write, "; ".join(statements))

    async with world.relaying():
        await asyncio.to_thread(world.write, "; ".join(_statement(random.Random(seed)) for seed in range(100)))
        writing = asyncio.create_task(write())
        opened = [(person(1 + n), wanted) for n in range(2) for wanted in WANTED for _ in range(2)]
        subscribers = [await subscribed(world, who, "notes", wanted, snapshot=True) for who, wanted in opened]
        views = [await Page(Stream(each), "").ready() for each in subscribers]
        for view in views:
            for _ in range(30):
                await view.next()
        is_over.set()
        await writing
        world.write("insert into notes select 1000 + n, 1 + n % 2, 'a', 6 from generate_series(0, 1) n")
        world.write("insert into notes select 1002 + n, 1 + n % 2, 'a', null from generate_series(0, 1) n")
        for view, (who, wanted) in zip(views, opened, strict=True):
            there = selected(world.owner, who, "notes")
            await view.until("notes", max(key for key, row in there.items() if WANTED[wanted](row)))
            assert view.rows["notes"] == {key: row for key, row in there.items() if WANTED[wanted](row)}, wanted
            assert view.resets == []


def _statement(chance: random.Random) -> str:
    status, author = chance.choice("abc"), chance.randint(1, 2)
    n, row_id = chance.choice(["null", "1", "6", "7"]), chance.randint(1, 60)
    return chance.choice(
        [
            f"insert into notes values ({row_id}, {author}, '{status}', {n}) on conflict (id) do update set n = {n}",
            f"update notes set status = '{status}', n = {n} where id = {row_id}",
            f"update notes set n = {n} where id between {row_id} and {row_id + 5}",
            f"update notes set author = {author} where id = {row_id}",
            f"delete from notes where id = {row_id}",
        ]
    )
