"""What the hub would send is what SELECT returns: over random tables, policies, rows, identities and changes.

Each failure prints the statements that lead to it.
"""

import asyncio
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import hypothesis
import psycopg
import pytest
from httpx_sse import EventSource
from hypothesis import HealthCheck, Phase, given, note, seed
from psycopg_pool import AsyncConnectionPool

from ayb_realtime.conf import conf
from ayb_realtime.hub.delivering import planning
from ayb_realtime.identity import Identity
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Change
from ayb_realtime.postgres import database, tables
from ayb_realtime.visibility import Answers, OneMessage, one_message, shortlist
from tests.integration.scenario import Owner
from tests.integration.visibility.conftest import sent
from tests.policies import oracle
from tests.policies.shapes import SETUP, SHAPES, Shape
from tests.policies.tables import IDENTITIES, Case, cases
from tests.policies.world import Record, World, parse
from tests.services import IS_LEAST

# An action and the record that came with it.
Event = tuple[str, Record]

# (policy, row, identity). They are divided among the shapes.
CASES = 10_000
EXAMPLES = 2


@pytest.fixture
def proof(owner: Owner) -> Iterator[Owner]:
    """The owner's connection, with the schema that has the policies' tables and functions."""
    owner.execute(SETUP.encode())
    yield owner
    owner.execute('drop schema "the proof" cascade')


@pytest.fixture
def reader(database_url: str) -> Iterator[Owner]:
    """A separate connection for the SELECTs."""
    with psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as connection:
        yield connection


def _without_outdated(expected: list[Event], got: list[Event]) -> list[Event]:
    """Leave out events that were not got if a later one has the same row.

    A hub that may not read a table asks those whom the logged row names. If the row has changed since, a later change
    tells.
    """
    left, due = list(got), list[Event]()
    for event in reversed(expected):
        if event in left:
            left.remove(event)
        elif any(later[1] == event[1] for later in due):
            continue
        due.append(event)
    return due[::-1]


class Comparison:
    """Compares, and counts what it has compared.

    counts: by shape, how many cases were shown, and how many were not.
    """

    def __init__(self, owner: Owner, reader: Owner) -> None:
        self.counts: Counter[tuple[Shape, bool]] = Counter()
        self._owner = owner
        self._reader = reader

    async def run(self, case: Case) -> None:
        """Run a case; compare what each identity gets after each step, and at the end from the beginning."""
        world = World(self._owner, case.table)
        try:
            async with database.pool() as pool:
                await self._run(pool, world, case)
        except BaseException:
            note("\n".join(world.script))
            raise
        finally:
            world.drop()

    async def _run(self, pool: AsyncConnectionPool[Any], world: World, case: Case) -> None:
        async with await database.connect(conf.relay_database) as relay:
            await new_changes(relay)
            begin = await queries.head(relay)
            for step in case.steps:
                already = len(world.told)
                for transaction in step:
                    world.do(transaction)
                await self._compare(pool, world, await new_changes(relay), world.told[already:])
            if world.told:
                changes = await queries.read(relay, after=begin, upto=begin + len(world.told))
                await self._compare(pool, world, changes, world.told)

    async def _compare(
        self, pool: AsyncConnectionPool[Any], world: World, changes: list[Change], told: Sequence[tuple[str, Record]]
    ) -> None:
        assert [change.action for change in changes] == [action for action, _ in told]
        # In a transaction, after which enough is known for a check in one message.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(OneMessage, "about", lambda *args: None)
            by_transaction = await deliver(pool, changes, IDENTITIES)
        by_message = await deliver(pool, changes, IDENTITIES)
        for identity in IDENTITIES:
            shown = oracle.shown(self._reader, world, identity)
            expected = self._expected(world, told, identity, shown.rows)
            for got in (by_transaction[identity], by_message[identity]):
                due = _without_outdated(expected, got) if IS_LEAST else expected
                certain = [event for event in due if shown.is_certain or event in got or event[0] == "delete"]
                assert got == certain, identity

    def _expected(
        self, world: World, told: Sequence[tuple[str, Record]], identity: Identity, shown: Sequence[Record]
    ) -> list[Event]:
        """Return the events that an identity that selects these rows should get."""
        names = [name for name, _ in world.keys[0]]
        rows = {tuple((name, dict(row)[name]) for name in names): row for row in shown}
        expected = []
        for action, key in told:
            if action == "delete":
                # By the protocol, deletes go to everyone who may read the key.
                if world.columns_of(identity.role):
                    expected.append((action, key))
            else:
                self.counts[world.shape, key in rows] += 1
                if key in rows:
                    expected.append((action, rows[key]))
        return expected


async def new_changes(relay: queries.Connection) -> list[Change]:
    """Number what has committed, as the relay does."""
    batch = await queries.next_batch(relay)
    return list(batch.changes) if batch else []


async def deliver(
    pool: AsyncConnectionPool[Any], changes: Sequence[Change], identities: Sequence[Identity]
) -> dict[Identity, list[Event]]:
    """Return what the hub would send of a table's changes to each identity."""
    relations = {change.relation for change in changes}
    plan = await planning.plan_delivery(pool, changes, dict.fromkeys(relations, identities))
    assert not plan.unanswered
    async with pool.connection() as connection:
        changed = [table for table in await tables.streamed(connection) if table.relation in relations]
    return {identity: events(await sent(plan, identity, changed)) for identity in identities}


def events(chunk: bytes) -> list[Event]:
    """Read a chunk as a client would."""
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=chunk)
    found = []
    for event in EventSource(response).iter_sse():
        data = dict(parse(event.data))
        found.append((data["action"], data["record"]))
    return found


def count_answered_messages(monkeypatch: pytest.MonkeyPatch) -> list[Answers]:
    """Return the answers of checks that are made in one message, from now on."""
    check = OneMessage.check
    answered: list[Answers] = []

    async def noted(*args: Any) -> Answers:
        answered.append(await check(*args))
        return answered[-1]

    monkeypatch.setattr(OneMessage, "check", noted)
    return answered


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_what_is_sent_is_what_select_returns(
    proof: Owner, reader: Owner, shape: Shape, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Even with few identities, ask only those who may see a row; after a failure, try one message again at once.
    monkeypatch.setattr(shortlist, "FEW", 0)
    monkeypatch.setattr(one_message, "RESTING_SECONDS", 0.0)
    answered = count_answered_messages(monkeypatch)
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 60}
    comparison = Comparison(proof, reader)

    # Each run has the same cases; each shape has others.
    @seed(zlib.crc32(shape.name.encode()))
    @hypothesis.settings(
        max_examples=EXAMPLES,
        # Shrinking a failure takes minutes; it is short enough to read as it is.
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(cases(shape))
    def check(case: Case) -> None:
        asyncio.run(comparison.run(case))

    check()
    assert comparison.counts.total() >= CASES / len(SHAPES)
    assert bool(comparison.counts[shape, True]) == shape.shows
    assert comparison.counts[shape, False] or not shape.hides
    # Where a policy fails, no message is answered.
    assert answered or shape.name == "two policies, one raises"


# The equality of two numerics may raise an error, and so reveal a hidden row. Therefore Postgres runs the policy first
# then, on every row that it meets before the one that the identity selects: here on the second before the third.
@pytest.mark.parametrize(("kind", "shown"), [("int", ["1", "3"]), ("numeric", ["1"])])
async def test_policy_that_fails_on_one_row_of_a_small_table_shows_the_others(
    owner: Owner, make_table: Callable[..., None], kind: str, shown: list[str]
) -> None:
    make_table("notes", f"id {kind} primary key, number text", policy="number::int = 1")
    owner.execute("insert into notes values (1, '1'), (2, 'x'), (3, '1')")
    owner.execute("analyze notes")
    async with database.pool() as pool, await database.connect(conf.relay_database) as relay:
        changes = await new_changes(relay)
        delivered = await deliver(pool, changes, IDENTITIES[:1])
    assert [str(dict(record)["id"]) for _, record in delivered[IDENTITIES[0]]] == shown
