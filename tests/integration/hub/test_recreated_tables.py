"""Tables that are renamed, altered or recreated while streams follow them."""

import asyncio
from typing import Any

import psycopg
import pytest

from ayb_realtime.exceptions import UnknownTable
from ayb_realtime.hub.admission import Answer
from ayb_realtime.log import slices
from ayb_realtime.relay import relay as relay_module
from tests.integration.scenario import (
    Stream,
    World,
    person,
    until_table_is_waited_for,
)


@pytest.mark.parametrize("rename", ["table notes rename to renamed", "table notes rename column id to number"])
async def test_rename_while_changes_are_checked_loses_none(
    world: World, database_url: str, rename: str, settings: Any
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 60}
    world.table("notes", "id int primary key, body text", policy="true")
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        with psycopg.connect(database_url) as migration:
            migration.execute("insert into notes values (1, 'x')")
            migration.commit()
            migration.execute("lock table notes in access exclusive mode")
            waiting = asyncio.create_task(stream.next())
            await until_table_is_waited_for(world.owner, "notes")
            migration.execute(f"alter {rename}".encode())
        event = await waiting
    if "column" in rename:
        # It was logged under another name, so the row with its present names has to be fetched.
        assert (event.event, event.json()["reason"]) == ("reset", "table definition changed")
    else:
        assert event.json() == {"action": "create", "table": "renamed", "record": {"id": 1, "body": "x"}}
    world.write("drop table if exists renamed")


async def test_key_of_another_type_has_to_be_fetched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # The relay's look at the table's definition would cause a second reset, at another time.
    monkeypatch.setattr(relay_module, "ALTERED_SECONDS", 3600.0)
    world.table("notes", "id text primary key", policy="true")
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        world.write("insert into notes values ('0')")
        begin = int((await stream.next()).id)
        while begin % slices.SLICE_CHANGES > slices.SLICE_CHANGES - 5:
            # Everything that follows must be in one slice.
            world.write("insert into notes values (%s)", [str(1000 + begin % 1000)])
            begin = int((await stream.next()).id)
        world.write("insert into notes values ('a')")
        assert (await stream.next_change())["record"] == {"id": "a"}
        world.write("update notes set id = '1' where id = 'a'")
        # A stream that resumes gets what was already delivered in one slice.
        assert [(await stream.next_change())["action"] for _ in range(2)] == ["delete", "create"]
        world.write("alter table notes alter id type int using id::int")
        resumed = await world.stream(person(1), "notes", after=begin)
        event = await resumed.next()
        assert (event.event, event.json()["reason"]) == ("reset", "table definition changed")
        world.write("insert into notes values (2)")
        assert (await resumed.next_change())["record"] == {"id": 2}


async def test_recreated_table_is_followed_after_a_reset(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        world.write("drop table notes")
        world.table("notes", "id int primary key, body text")
        world.write("insert into notes values (1, 'x')")
        reset = await stream.next()
        assert (reset.event, reset.json()) == ("reset", {"reason": "table made anew", "tables": ["notes"]})
        world.insert("notes", 2)
        while (await stream.next_change())["record"]["id"] != 2:
            pass


RECREATED = """
drop table notes; create table notes (id int primary key); grant select on notes to ayb_authenticated;
select ayb_realtime.enable_v1('notes')
"""


UNLOGGED_MEANWHILE = (
    "select ayb_realtime.disable_v1('notes'); delete from notes; select ayb_realtime.enable_v1('notes')"
)


@pytest.mark.parametrize("statements", [RECREATED, UNLOGGED_MEANWHILE])
@pytest.mark.parametrize("away", [True, False])
async def test_table_that_changed_behind_the_log_is_reset(world: World, statements: str, away: bool) -> None:
    world.table("others", "id int primary key")
    world.table("notes", "id int primary key")
    async with world.relaying():
        position = await world.caught_up()
        if not away:
            stream = await world.stream(person(1), "notes", "others", after=position)
        world.write(statements)
        world.insert("notes", 2)
        if away:
            stream = await world.stream(person(1), "notes", "others", after=position)
        events = [await stream.next(), await stream.next()]
        assert sorted(event.event for event in events) == ["message", "reset"]
        (reset,) = (event for event in events if event.event == "reset")
        assert reset.json() == {"reason": "table made anew", "tables": ["notes"]}
        # It gets one reset only.
        world.insert("notes", 3)
        assert await stream.next_ids(1) == [3]


async def test_stream_that_opens_on_a_table_just_enabled_has_nothing_to_fetch_again(world: World) -> None:
    world.table("notes", "id int primary key")
    world.write(UNLOGGED_MEANWHILE)
    stream = await world.stream(person(1), "notes")
    async with world.relaying():
        for row_id in (1, 2):
            world.insert("notes", row_id)
            assert await stream.next_ids(1) == [row_id]


async def test_stream_that_joins_while_its_table_is_recreated_follows_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        await world.caught_up()
        watcher = await world.stream(person(2), "notes")
        answer = await world.hub._admission.ask(person(1).role)

        async def asked(_: str) -> Answer:
            return answer

        world.write("drop table notes")
        world.table("notes", "id int primary key")
        world.insert("notes", 1)
        assert (await watcher.next()).event == "reset"
        assert await watcher.next_ids(1) == [1]
        monkeypatch.setattr(world.hub._admission, "ask", asked)
        stream = Stream(await world.hub.subscribe(person(1), ["notes"]))
        assert (await stream.next()).event == "connected"
        world.insert("notes", 2)
        assert (await stream.next()).event == "reset"
        assert await stream.next_ids(1) == [2]


async def test_table_that_is_not_streamed_is_unknown(world: World) -> None:
    world.table("plain", "id int primary key", enable=False)
    with pytest.raises(UnknownTable, match="unknown table: plain"):
        await world.stream(person(1), "plain")


async def schemas(world: World, name: str) -> list[str]:
    """Return the schema of the table that a stream with this name is of."""
    return [table.schema for table in (await world.subscriber(person(1), name)).tables]


async def test_table_in_public_is_found_before_its_namesake(world: World) -> None:
    world.write("create schema aside")
    world.table("aside.notes", "id int primary key")
    assert await schemas(world, "notes") == ["aside"]
    world.table("notes", "id int primary key")
    assert await schemas(world, "notes") == ["public"]
    world.write("drop schema aside cascade")
