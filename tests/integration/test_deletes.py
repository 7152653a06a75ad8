"""DELETE_VISIBILITY = "policy": who hears of a delete, and of an update that takes a row out of their view."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from channels.layers import BaseChannelLayer

from ayb_realtime import delivery
from ayb_realtime.hub import Hub
from ayb_realtime.identity import Identity
from tests.integration.conftest import Stream, open_stream, person, relaying

Owner = psycopg.Connection[Any]
MakeTable = Callable[..., None]
Told = list[tuple[str, Any]]

OWN = "author = current_setting('ayb.user_id')"
GONE: Told = [("delete", {"id": 1})]


class Stage:
    """Writes, and tells what each identity has been told of them."""

    def __init__(self, hub: Hub, owner: Owner, watcher: Stream) -> None:
        self._hub = hub
        self._owner = owner
        self._watcher = watcher

    async def told(self, write: str, *identities: Identity, table: str = "notes") -> list[Told]:
        """Run SQL in one transaction; return what each identity has been told, live, and again in a replay."""
        after, _ = await self._mark()
        live = [await open_stream(self._hub, identity, table, "marks") for identity in identities]
        self._owner.execute(write.encode())
        _, mark = await self._mark()
        told = [await read_upto(stream, mark) for stream in live]
        again = [await open_stream(self._hub, identity, table, "marks", after=after) for identity in identities]
        assert [await read_upto(stream, mark) for stream in again] == told
        return told

    async def _mark(self) -> tuple[int, Any]:
        """Write a mark and wait until it is delivered; return its position, and itself."""
        row = self._owner.execute("insert into marks default values returning id").fetchone()
        mark = {"id": row[0]} if row else None
        while (event := await self._watcher.next()).json()["record"] != mark:
            pass
        return int(event.id), mark


async def read_upto(stream: Stream, mark: object) -> Told:
    """Return the action and record of each change before a mark."""
    told = []
    while (change := await stream.next_change())["table"] != "marks" or change["record"] != mark:
        told.append((change["action"], change["record"]))
    return told


@pytest_asyncio.fixture
async def stage(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable, settings: Any
) -> AsyncIterator[Stage]:
    """A relay and a hub whose deletes follow the policies."""
    settings.AYB_REALTIME = {"DELETE_VISIBILITY": "policy"}
    make_table("marks", "id int generated always as identity primary key")
    async with relaying(memory_layer):
        yield Stage(the_hub, owner, await open_stream(the_hub, person("watcher"), "marks"))
    owner.execute("select setval('ayb_realtime.keeps_before', 0)")


async def test_delete_is_told_to_whom_the_policy_showed_the_row(
    stage: Stage, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key, author text, body text", policy=OWN)
    owner.execute("insert into notes values (1, '1', 'a'), (2, '2', 'b')")
    assert await stage.told("delete from notes", person(1), person(2), person(3)) == [
        [("delete", {"id": 1})],
        [("delete", {"id": 2})],
        [],
    ]


async def test_update_that_takes_a_row_out_of_view_is_a_delete_to_who_saw_it(
    stage: Stage, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key, author text, body text", policy=OWN)
    owner.execute("insert into notes values (1, '1', 'a')")
    assert await stage.told("update notes set author = '2'", person(1), person(2), person(3)) == [
        GONE,
        [("update", {"id": 1, "author": "2", "body": "a"})],
        [],
    ]
    assert await stage.told("update notes set body = 'b'", person(1), person(2)) == [
        [],
        [("update", {"id": 1, "author": "2", "body": "b"})],
    ]
