"""Fixtures of the tests of altered tables: a partitioned one, a plain one, and what streams get about them."""

import asyncio
from collections.abc import Callable

import pytest

from ayb_realtime.hub.hub import Hub
from ayb_realtime.log import queries
from ayb_realtime.relay import numbering
from ayb_realtime.relay import relay as relay_module
from tests.integration.conftest import number
from tests.integration.scenario import MakeTable, Owner, Stream, World, person

RESET = ("reset", {"reason": "table altered", "tables": ["visits"]})


PARTITIONED = "partition by list (id)"


FILLED = "create table visits_3 (id int primary key, body text); insert into visits_3 values (3, 'filled');"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten intervals."""
    monkeypatch.setattr(relay_module, "ALTERED_SECONDS", 0.05)
    monkeypatch.setattr(numbering, "ANNOUNCE_SECONDS", 0.05)


@pytest.fixture
def visits(owner: Owner, make_table: MakeTable) -> None:
    """A partitioned table with rows in two partitions, a default partition, and a partition with its own partitions."""
    make_table("visits", "id int primary key, body text", suffix=PARTITIONED)
    owner.execute(
        "create table visits_1 partition of visits for values in (1);"
        "create table visits_2 partition of visits for values in (2, 22) partition by list (id);"
        "create table visits_22 partition of visits_2 for values in (22);"
        "create table visits_rest partition of visits default;"
        "insert into visits values (1, 'one'), (22, 'two'), (5, 'rest'), (6, 'rest')"
    )
    settle(owner)


@pytest.fixture
def notes(owner: Owner, make_table: MakeTable) -> None:
    """A plain table with two rows."""
    make_table("visits", "id int primary key, body text, secret text")
    owner.execute("insert into visits values (1, 'one'), (2, 'two')")
    settle(owner)


def settle(owner: Owner) -> None:
    """Let the relay note the tables' definitions, and number all changes so far."""
    owner.execute("select ayb_realtime.announce_altered_v1()")
    number(owner)


def script(owner: Owner, statements: str) -> None:
    """Run statements one by one, outside a transaction block, in which some of them may not run."""
    for statement in statements.split(";"):
        owner.execute(statement.encode())


async def told(world: World, alter: Callable[[], object]) -> None:
    """Alter the table ``visits``; check that this is the next event of a live stream and of one that was away."""
    async with world.relaying():
        begin = await caught_up(world.hub)
        live = await world.stream(person(1), "visits")
        await asyncio.to_thread(alter)
        await is_reset(live)
        await is_reset(await world.stream(person(1), "visits", after=begin))


async def caught_up(the_hub: Hub) -> int:
    """Wait until the hub has reached the log's head; return that position."""
    async with the_hub._pool.connection() as connection:
        head = await queries.head(connection)
    while the_hub.position < head:
        await asyncio.to_thread(lambda: None)
    return head


async def is_reset(stream: Stream) -> None:
    event = await stream.next()
    assert (event.event, event.json()) == RESET


def altered(owner: Owner) -> int:
    """Return how often the log says that ``visits`` was altered."""
    row = owner.execute(
        "select count(*) from ayb_realtime.change where action = 'alter' and relation = 'visits'::regclass"
    ).fetchone()
    assert row is not None
    return int(row[0])
