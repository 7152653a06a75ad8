"""Helpers of the tests of visibility: a transaction to check in, and what identities see of the logged changes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ayb_realtime import visibility
from ayb_realtime.conf import Conf
from ayb_realtime.hub.delivering.delivery import DeliveryPlan
from ayb_realtime.hub.delivering.dispatch import dispatch
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.hub.streams.subscribers import Subscribers
from ayb_realtime.identity import Identity
from ayb_realtime.postgres import database
from ayb_realtime.postgres.tables import Table, streamed
from ayb_realtime.visibility import OneMessage, one_message, watchdog
from ayb_realtime.visibility.old_rows import OldRowsCheck, why_inexact
from ayb_realtime.wire.records import Row
from tests.integration.scenario import Owner, person

LOGGED = """
select record::text from ayb_realtime.change join pg_class on pg_class.oid = relation
 where relname = %s and action in ('create', 'update') order by id
"""


async def seen(table: str, identities: Sequence[Identity]) -> list[dict[int, str | None]]:
    """Check all logged changes of a table, as if they were new; return what each identity sees, by position."""
    async with await database.connect("default") as reader:
        logged = await (await reader.execute(LOGGED, [table])).fetchall()
    rows = {place: Row(record) for place, (record,) in enumerate(logged, 1)}
    async with checking(table) as (connection, target):
        answers = await visibility.check(connection, target, rows, identities)
        return [dict(answers.visible_to(identity)) for identity in identities]


@asynccontextmanager
async def checking(table: str) -> AsyncIterator[tuple[visibility.Connection, Table]]:
    """Prepare a transaction to check a table in."""
    async with database.pool() as pool, pool.connection() as connection, connection.transaction():
        await visibility.configure(connection)
        yield connection, next(each for each in await streamed(connection) if each.name == table)


async def sent(plan: DeliveryPlan, identity: Identity, tables: Iterable[Table]) -> bytes:
    """Dispatch to a stream of these tables; return what its client reads."""
    subscriber = Subscriber(identity, tables, buffer_bytes=1, heartbeat_seconds=3600.0)
    dispatch(plan, Subscribers([subscriber]), 0)
    read = b""
    while not subscriber.is_caught_up:
        read += await anext(subscriber)
    return read


PEOPLE = [person(n) for n in range(1, 5)]


async def would_see(
    owner: Owner, table: str, people: Sequence[Identity] = PEOPLE, search_path: str = "public"
) -> tuple[list[set[int]], set[int]]:
    """Check the rows of a table as if they were gone; return the ordinals that each would see, and the inexact ones.

    Asserts that an identity would see an exact row if and only if it sees it now.
    """
    rows = {n: Row(record) for n, (record,) in enumerate(owner.execute(LOGGED, [table]).fetchall(), 1)}
    async with checking(table) as (connection, target):
        await connection.execute("select set_config('search_path', %s, true)", [search_path])
        assert await why_inexact(connection, target) is None
        now = await visibility.check(connection, target, rows, people, undefined_is_failure=True)
        check = OldRowsCheck(connection, target, True)
        before = await check.answer([(rows, people)])
        assert not before.unanswered
    visible = [set(before.visible_to(each)) for each in people]
    assert visible == [set(now.visible_to(each)) - check.inexact for each in people]
    return visible, check.inexact


async def reasons(table: str) -> str | None:
    """Return why the policies of a table cannot be evaluated exactly."""
    async with checking(table) as (connection, target):
        return await why_inexact(connection, target)


@pytest.fixture
def reading_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub log in as the tables' owner: a login of its own may read logged values alone."""
    monkeypatch.setattr(Conf, "hub_database", property(lambda conf: conf.database))


# A message waits for this lock when it has just taken its snapshot.
GATE = 77


def within_a_message(monkeypatch: pytest.MonkeyPatch, owner: Owner, act: Callable[[], Awaitable[None]]) -> None:
    """Act within each check that is made in one message, between its snapshot and its question."""
    check = OneMessage.check

    async def act_and_check(*args: Any) -> Any:
        owner.execute(f"select pg_advisory_lock({GATE})")
        checking = asyncio.create_task(check(*args))
        while not checking.done() and not await asyncio.to_thread(is_at_the_gate, owner):
            pass
        await act()
        owner.execute(f"select pg_advisory_unlock({GATE})")
        return await checking

    monkeypatch.setattr(OneMessage, "check", act_and_check)
    monkeypatch.setattr(one_message, "MARK", f"{watchdog.MARK}, pg_catalog.pg_advisory_xact_lock_shared({GATE})")


def is_at_the_gate(owner: Owner) -> bool:
    """Tell whether a message waits for the lock of GATE."""
    return bool(owner.execute("select from pg_locks where locktype = 'advisory' and not granted").fetchall())
