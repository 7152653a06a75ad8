"""Partitions that are attached and detached, and rows that move between them."""

import asyncio

import psycopg
import pytest

from ayb_realtime.relay import relay as relay_module
from tests.integration.altered.conftest import FILLED, PARTITIONED, caught_up, is_reset, script, settle, told
from tests.integration.scenario import World, person

ROWS_COME_AND_GO = {
    "attach": FILLED + "alter table visits attach partition visits_3 for values in (3)",
    "attach to a partition": "create table visits_3 (id int primary key, body text);"
    "insert into visits_3 values (2, 'filled');"
    "alter table visits_2 attach partition visits_3 for values in (2)",
    "attach what is partitioned": "create table visits_3 (id int primary key, body text) partition by list (id);"
    "create table visits_33 partition of visits_3 for values in (33); insert into visits_33 values (33, 'filled');"
    "alter table visits attach partition visits_3 for values in (33)",
    "detach": "alter table visits detach partition visits_1",
    "detach, and attach": "begin; alter table visits detach partition visits_1;"
    "update visits_1 set body = 'other'; alter table visits attach partition visits_1 for values in (1);"
    "commit",
    "detach a partition's": "alter table visits_2 detach partition visits_22",
    "drop": "drop table visits_1",
    "drop a partition's": "drop table visits_22",
    "truncate": "truncate visits_1",
    "truncate a partition's": "truncate visits_22",
    "truncate, and fill": "begin; truncate visits_1; insert into visits_1 select 1, 'x' where false;"
    "analyze visits_1; commit",
    "triggers off and on": "begin; alter table visits_1 disable trigger all; update visits_1 set body = 'x';"
    "alter table visits_1 enable trigger all; commit",
    "triggers of all off and on": "begin; alter table visits disable trigger user; delete from visits where id = 1;"
    "alter table visits enable trigger user; commit",
    "a column": "alter table visits add column at timestamptz default clock_timestamp()",
}


@pytest.mark.parametrize("case", ROWS_COME_AND_GO)
async def test_rows_that_come_and_go_with_partitions_are_told_by_a_reset(visits: None, world: World, case: str) -> None:
    try:
        await told(world, lambda: script(world.owner, ROWS_COME_AND_GO[case]))
    finally:
        world.write("drop table if exists visits_1, visits_22, visits_3")


async def test_partition_that_is_detached_concurrently_is_told_once(world: World, database_url: str) -> None:
    world.table("visits", "id int primary key, body text", suffix=PARTITIONED)
    world.write("create table visits_1 partition of visits for values in (1)")
    world.write("create table visits_2 partition of visits for values in (2)")
    world.write("insert into visits values (1, 'one')")
    settle(world.owner)
    try:
        async with world.relaying():
            begin = await caught_up(world.hub)
            live = await world.stream(person(1), "visits")
            with psycopg.connect(database_url) as reader, psycopg.connect(database_url, autocommit=True) as other:
                # A reader of the table lets the first half finish and makes the second wait, which is then cancelled.
                reader.execute("select * from visits")
                other.execute("set lock_timeout = '200ms'")
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    await asyncio.to_thread(other.execute, "alter table visits detach partition visits_1 concurrently")
                await is_reset(live)
            await asyncio.to_thread(world.write, "alter table visits detach partition visits_1 finalize")
            world.write("select ayb_realtime.announce_altered_v1()")
            world.write("insert into visits values (2, 'two')")
            assert (await live.next_change())["record"]["id"] == 2
            away = await world.stream(person(1), "visits", after=begin)
            await is_reset(away)
            assert (await away.next_change())["record"]["id"] == 2
    finally:
        world.write("drop table visits_1")


MOVES = {
    "attach": "create table visits_5 (id int primary key, body text);"
    "insert into visits_5 select * from visits where id = 5; delete from visits where id = 5;"
    "alter table visits attach partition visits_5 for values in (5)",
    "several": "create table visits_5 (id int primary key, body text);"
    "with moved as (delete from visits_rest returning *) insert into visits_5 select * from moved;"
    "alter table visits attach partition visits_5 for values in (5, 6)",
    "updated before": "create table visits_5 (id int primary key, body text);"
    "update visits set body = 'x' where id = 5;"
    "with moved as (delete from visits where id = 5 returning *) insert into visits_5 select * from moved;"
    "alter table visits attach partition visits_5 for values in (5)",
    "triggers off": "delete from visits where id = 5; alter table visits disable trigger all;"
    "insert into visits values (5, 'rest'); alter table visits enable trigger all",
    "to a partition of a partition": "create table visits_5 (id int primary key, body text);"
    "with moved as (delete from visits_22 returning *) insert into visits_5 select * from moved;"
    "drop table visits_22; alter table visits_2 attach partition visits_5 for values in (22)",
}


@pytest.mark.parametrize("case", MOVES)
async def test_row_that_is_moved_and_there_is_not_told_as_deleted(
    world: World, visits: None, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The relay's regular look comes too late here.
    monkeypatch.setattr(relay_module, "ALTERED_SECONDS", 3600.0)

    def move() -> None:
        with world.owner.transaction():
            script(world.owner, MOVES[case])

    await told(world, move)


async def test_deletes_are_not_told_of_a_table_that_has_rows_without_our_trigger(visits: None, world: World) -> None:
    world.write("alter table visits_1 disable trigger all")
    settle(world.owner)
    world.write("create table visits_7 partition of visits for values in (7)")
    world.write("insert into visits values (7, 'seven')")
    settle(world.owner)
    # The row moves to a table without a trigger.
    world.write("delete from visits where id = 1")
    await told(world, lambda: script(world.owner, "update visits set id = 1 where id = 7"))


async def test_delete_before_a_move_is_told(visits: None, world: World) -> None:
    async with world.relaying():
        live = await world.stream(person(1), "visits")
        world.write("delete from visits where id = 1")
        assert await live.next_change() == {"action": "delete", "table": "visits", "record": {"id": 1}}
        script(world.owner, FILLED + "alter table visits attach partition visits_3 for values in (3)")
        await is_reset(live)
        world.write("delete from visits where id = 3")
        assert await live.next_change() == {"action": "delete", "table": "visits", "record": {"id": 3}}
