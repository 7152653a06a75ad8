"""Streams that ask for some columns, or for events with names: live, resumed, and with a snapshot."""

from __future__ import annotations

import pytest

from ayb_realtime.exceptions import InvalidParameter
from ayb_realtime.hub.admission import Wanted
from tests.integration.scenario import OWN, Stream, World, person

TITLES = Wanted(("id", "title"))


async def opened(world: World, wanted: Wanted, *tables: str, resume: str = "", snapshot: bool = False) -> Stream:
    """Open a stream of a form, and read ``connected``."""
    stream = Stream(await world.hub.subscribe(person(1), tables, wanted=wanted, resume=resume, snapshot=snapshot))
    assert (await stream.next()).event == "connected"
    return stream


async def test_live_and_resumed_streams_and_snapshots_have_these_columns(world: World) -> None:
    world.table("notes", "id int primary key, author text, title text, body text", policy=OWN)
    async with world.relaying():
        live = await opened(world, TITLES, "notes")
        whole = await opened(world, Wanted(), "notes")
        world.write("insert into notes values (1, '1', 'first', 'x'), (2, '2', 'hidden', 'x')")
        begin = (await whole.next()).id
        assert await live.next_action() == ("create", {"id": 1, "title": "first"})
        shown = await opened(world, TITLES, "notes", snapshot=True)
        assert (await shown.next()).data == '{"table":"notes","records":[{"id":1,"title":"first"}]}'
        assert (await shown.next()).event == "ready"
        world.write("insert into notes values (3, '1', 'third', 'x')")
        assert await whole.next_action() == ("create", {"id": 3, "author": "1", "title": "third", "body": "x"})
        resumed = await opened(world, TITLES, "notes", resume=begin)
        for stream in (live, shown, resumed):
            assert await stream.next_action() == ("create", {"id": 3, "title": "third"})
        world.write("update notes set body = 'y' where id = 3")
        for stream in (live, shown, resumed):
            assert await stream.next_action() == ("update", {"id": 3, "title": "third"})
        world.write("delete from notes where id = 3")
        for stream in (live, shown, resumed):
            assert await stream.next_action() == ("delete", {"id": 3})


async def test_fields_of_one_table_leave_the_others_whole(world: World) -> None:
    world.table("notes", "id int primary key, title text, body text")
    world.table("letters", "id int primary key, body text")
    async with world.relaying():
        stream = await opened(world, Wanted(("notes.title",)), "notes", "letters")
        world.write("insert into notes values (1, 'a', 'b')")
        world.write("insert into letters values (2, 'c')")
        assert await stream.next_action() == ("create", {"id": 1, "title": "a"})
        assert await stream.next_action() == ("create", {"id": 2, "body": "c"})


async def test_fields_follow_a_table_that_is_recreated(world: World) -> None:
    world.table("notes", "id int primary key, title text, body text")
    async with world.relaying():
        stream = await opened(world, TITLES, "notes")
        world.write("drop table notes")
        world.table("notes", "body text, title text, id int primary key")
        world.write("insert into notes values ('b', 'a', 1)")
        assert (await stream.next()).event == "reset"
        assert await stream.next_action() == ("create", {"title": "a", "id": 1})


async def test_column_that_the_role_may_not_read_is_as_unknown_as_one_that_is_not_there(world: World) -> None:
    world.table("notes", "id int primary key, title text, secret text")
    world.write("revoke select on notes from ayb_authenticated; grant select (id, title) on notes to ayb_authenticated")
    for column in ("secret", "nothing"):
        with pytest.raises(InvalidParameter, match=f"^fields: unknown column: {column}$"):
            await opened(world, Wanted(("title", column)), "notes")
    assert not world.hub.open_streams()
    await opened(world, TITLES, "notes")


async def test_named_events_come_beside_those_of_streams_without_names(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        named = await opened(world, Wanted(is_named=True), "notes")
        unnamed = await opened(world, Wanted(), "notes")
        for name, statement in [
            ("notes.create", "insert into notes values (1)"),
            ("notes.delete", "delete from notes"),
        ]:
            world.write(statement)
            event, other = await named.next(), await unnamed.next()
            assert (event.event, other.event) == (name, "message")
            assert (event.data, event.id) == (other.data, other.id)
