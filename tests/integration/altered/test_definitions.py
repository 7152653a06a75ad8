"""After tables, types or names are altered, streams get a reset."""

import asyncio

import pytest
from channels.layers import InMemoryChannelLayer

from tests.integration.altered.conftest import caught_up, is_reset, script, settle, told
from tests.integration.scenario import World, person, relaying

CHANGED = {
    "type": "alter table visits alter column body type varchar(2) using 'x'",
    "values": "alter table visits alter column body type text using body || '!'",
    "new column": "alter table visits add column added int",
    "default": "alter table visits add column added int default 5",
    "volatile default": "alter table visits add column added uuid default gen_random_uuid()",
    "generated": "alter table visits add column added int generated always as (id + 1) stored",
    "column gone": "alter table visits drop column secret",
    "column renamed": "alter table visits rename column body to text",
    "trigger off and on": """begin; alter table visits disable trigger "!ayb_realtime"; delete from visits;"""
    """alter table visits enable always trigger "!ayb_realtime"; commit""",
    "triggers off and on": "begin; alter table visits disable trigger all; truncate visits;"
    "alter table visits enable trigger all; commit",
    "truncate trigger": """begin; alter table visits disable trigger "!ayb_realtime_truncate"; truncate visits;"""
    """alter table visits enable always trigger "!ayb_realtime_truncate"; commit""",
    "trigger made by hand": """begin; drop trigger "!ayb_realtime" on visits; delete from visits;"""
    """create trigger "!ayb_realtime" after insert or update or delete on visits"""
    """ for each row execute function ayb_realtime.capture_v1('notify', 'id'); commit""",
    "a child": "create table child (like visits including all); insert into child values (3);"
    "alter table child inherit visits",
    "to unlogged": "alter table visits set unlogged",
}


@pytest.mark.parametrize("case", CHANGED)
async def test_table_whose_rows_are_others_is_told_by_a_reset(notes: None, world: World, case: str) -> None:
    try:
        await told(world, lambda: script(world.owner, CHANGED[case]))
    finally:
        world.write("drop table if exists child")


@pytest.mark.parametrize(
    ("make", "rename"),
    [
        ("create type mood as enum ('sad', 'glad')", "alter type mood rename value 'sad' to 'blue'"),
        ("create type mood as (word text)", "alter type mood rename attribute word to name"),
        ("create type feeling as enum ('sad'); create domain mood as feeling",
         "alter type feeling rename value 'sad' to 'blue'"),
        ("create type feeling as enum ('sad', 'glad'); create type mood as range (subtype = feeling)",
         "alter type feeling rename value 'sad' to 'blue'"),
        ("create type feeling as (word text); create type mood as (feeling feeling)",
         "alter type feeling add attribute depth int"),
    ],
)  # fmt: skip
async def test_type_that_reads_otherwise_is_told_by_a_reset(world: World, make: str, rename: str) -> None:
    world.write(make)
    try:
        world.table("visits", "id int primary key, moods mood[]")
        settle(world.owner)
        await told(world, lambda: script(world.owner, rename))
    finally:
        world.write("drop table visits")
        world.write("drop domain if exists mood") if "domain" in make else world.write("drop type mood")
        world.write("drop type if exists feeling")


@pytest.mark.parametrize(
    "rename", ["alter schema places rename to spots", "alter table places.visits set schema public"]
)
async def test_table_in_another_schema_is_told_by_a_reset(world: World, rename: str) -> None:
    world.write("create schema places")
    try:
        world.table("places.visits", "id int primary key")
        settle(world.owner)
        async with world.relaying():
            live = await world.stream(person(1), "visits")
            await asyncio.to_thread(world.write, rename)
            await is_reset(live)
    finally:
        world.write("drop schema if exists places cascade; drop schema if exists spots cascade;")
        world.write("drop table if exists visits")


async def test_stream_follows_the_name_of_a_table_that_was_swapped(world: World) -> None:
    world.table("visits", "id int primary key")
    world.table("visits_new", "id int primary key")
    settle(world.owner)
    async with world.relaying():
        begin = await caught_up(world.hub)
        live = await world.stream(person(1), "visits")
        # Both are known to the hub.
        world.write("insert into visits values (1)")
        world.write("insert into visits_new values (2)")
        assert (await live.next_change())["record"]["id"] == 1
        with world.owner.transaction():
            world.write("alter table visits rename to visits_old")
            world.write("alter table visits_new rename to visits")
            world.write("alter table visits_old rename to visits_new")
        event = await live.next()
        assert (event.event, event.json()) == ("reset", {"reason": "table made anew", "tables": ["visits"]})
        await is_reset(live)
        world.write("insert into visits values (3)")
        assert (await live.next_change())["record"]["id"] == 3
        away = await world.stream(person(1), "visits", after=begin)
        assert (await away.next_change())["record"]["id"] == 2
        await is_reset(away)
        assert (await away.next_change())["record"]["id"] == 3


@pytest.mark.parametrize("heard", [True, False])
async def test_stream_follows_the_name_of_a_table_that_was_dropped_to_one_that_had_no_streams(
    world: World, heard: bool
) -> None:
    world.table("visits", "id int primary key")
    world.table("visits_new", "id int primary key")
    settle(world.owner)
    # Without the layer, the hub reads only the changes of tables with streams.
    async with relaying(world.layer if heard else InMemoryChannelLayer()):
        await caught_up(world.hub)
        live = await world.stream(person(1), "visits")
        world.write("insert into visits values (1)")
        assert (await live.next_change())["record"]["id"] == 1
        await asyncio.to_thread(
            world.write,
            "insert into visits_new values (2); drop table visits; alter table visits_new rename to visits",
        )
        event = await live.next()
        assert (event.event, event.json()) == ("reset", {"reason": "table made anew", "tables": ["visits"]})
        world.write("insert into visits values (3)")
        while (event := await live.next()).event == "reset" or event.json()["record"]["id"] == 2:
            pass
        assert event.json()["record"]["id"] == 3
