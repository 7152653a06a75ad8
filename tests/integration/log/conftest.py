"""Fixtures of the tests of the log: a relay's connection, another writer's, and functions that number and read."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from ayb_realtime.conf import conf
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Change
from ayb_realtime.postgres import database, sessions
from tests.integration.scenario import MakeTable, Owner

Connection = psycopg.AsyncConnection[Any]


@pytest_asyncio.fixture
async def relay(make_table: MakeTable) -> AsyncIterator[Connection]:
    """A sleeping relay's connection, with the table ``notes`` streamed and all changes numbered."""
    make_table("notes", "id int primary key, version int")
    async with await database.connect(conf.relay_database) as connection:
        await sessions.settle(connection)
        await queries.keep_plans(connection)
        await queries.fall_asleep(connection)
        while await numbered(connection):
            pass
        yield connection


@pytest.fixture
def other(database_url: str) -> Iterator[Owner]:
    """A connection of another writer."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


async def numbered(connection: Connection) -> list[Change]:
    """Number what has committed, and return it."""
    batch = await queries.next_batch(connection)
    if batch is None:
        return []
    assert batch.head == batch.changes[-1].position
    return list(batch.changes)


def records(changes: list[Change]) -> list[Any]:
    """Return each change's action and the values of its record."""
    return [(change.action, *json.loads(change.record or "{}").values()) for change in changes]


async def assert_same_when_read(relay: Connection, batches: list[list[Change]], after: int) -> None:
    """Check that ``read`` returns what ``next_batch`` returned: in one read, batch by batch, and one by one."""
    changes = [change for batch in batches for change in batch]
    upto = after + len(changes)
    assert [change.position for change in changes] == list(range(after + 1, upto + 1))
    assert await queries.head(relay) == upto
    assert await queries.read(relay, after=after, upto=upto) == changes
    for batch in batches:
        assert await queries.read(relay, after=batch[0].position - 1, upto=batch[-1].position) == batch
    for change in changes[:50]:
        assert await queries.read(relay, after=change.position - 1, upto=change.position) == [change]
