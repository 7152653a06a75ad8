"""The transactions in which rows are read and checked: their settings, and their end where a policy does not let go."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, LiteralString
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from ayb_realtime import database
from ayb_realtime.conf import conf

logger = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[Any]

# How a row reads as JSON: the settings of capture_v1(), since a check compares the text.
JSON_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}
# A key is looked up by its index, so that a policy is not run on rows that nobody asked about, and may fail on. A plan
# that has to do without one is so dear then, before version 18, that Postgres would compile it, for 0.2 s. And the plan
# of a check is made once, for all identities.
PLAN_SETTINGS = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}
# The process that works for a connection's transaction. Not the one that the connection was told: a proxy's is its own
# invention.
_backend_pids: WeakKeyDictionary[Connection, int] = WeakKeyDictionary()


@asynccontextmanager
async def prepared(connection: Connection) -> AsyncIterator[None]:
    """Run a block in a prepared transaction that is read-only and sees one snapshot. It begins with one message."""
    await prepare(connection, b"begin isolation level repeatable read read only; ")
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error):  # What has happened is told by the first error.
            await connection.rollback()
        raise
    await connection.commit()


async def prepare(connection: Connection, begin: bytes = b"") -> None:
    """Give the current transaction the settings under which rows are read and checked."""
    settings = {**JSON_SETTINGS, **PLAN_SETTINGS, **_timeouts(conf.check_timeout_seconds)}
    query, parameters = _setting(settings)
    cursor = psycopg.AsyncClientCursor(connection)
    await cursor.execute(begin + query + b", pg_catalog.pg_backend_pid()", parameters)
    while cursor.nextset():
        pass
    ((*_, _backend_pids[connection]),) = await cursor.fetchall()


async def ask(connection: Connection, question: sql.Composable, parameters: Sequence[object]) -> list[Any]:
    """Put a question, in one message, and return its rows. After an error the transaction is what it was before.

    connection: in a transaction. Raises psycopg.Error.
    """
    cursor = psycopg.AsyncClientCursor(connection)
    query = sql.SQL("savepoint question; {}; release savepoint question").format(question)
    try:
        await cursor.execute(query, parameters)
    except psycopg.Error:
        if connection.info.transaction_status == TransactionStatus.INERROR:
            await connection.execute("rollback to savepoint question; release savepoint question")
        raise
    cursor.nextset()
    return await cursor.fetchall()


@asynccontextmanager
async def within(connection: Connection, seconds: float) -> AsyncIterator[None]:
    """Give a block's statements this long, in a prepared transaction."""
    if seconds == conf.check_timeout_seconds:
        yield
        return
    await set_local(connection, _timeouts(seconds))
    try:
        yield
    finally:
        if connection.info.transaction_status == TransactionStatus.INTRANS:
            await set_local(connection, _timeouts(conf.check_timeout_seconds))


@asynccontextmanager
async def a_prepared_one() -> AsyncIterator[Connection]:
    """Open a connection, in a prepared transaction that is read-only and sees one snapshot. Raises psycopg.Error."""
    async with await database.connect(conf.database) as connection, prepared(connection):
        yield connection


# For which identity a check is running: the function holds a lock with its ordinal meanwhile. While it waits for a
# table, which others keep from everybody, it is nobody's fault.
RUNNING_FOR = """
select l.objid::int
  from pg_catalog.pg_locks l
 where l.pid = %s and l.locktype = 'advisory' and l.objsubid = 2
   and l.classid = pg_catalog.hashtext('ayb_realtime.identity')::oid
   and not exists (select from pg_catalog.pg_locks w where w.pid = l.pid and w.locktype = 'relation' and not w.granted)
"""


PARTING_SECONDS = 0.5


class Watch:
    """Looks from another connection for whom a check takes so long, and cancels it; ends it where that does not help.

    A policy can catch a cancellation, as it can its timeout, and go on.

    connection: in a prepared transaction.
    seconds: how long the check may take. One that has been on the same identity for a fifth of it is cancelled, unless
        there is no other to wait for that.
    culprit: the ordinal of that identity, from 1.
    has_fired: whether the connection was ended by this.
    """

    def __init__(self, connection: Connection, seconds: float, *, alone: bool) -> None:
        self.culprit: int | None = None
        self.has_fired = False
        self._connection = connection
        self._seconds = seconds
        self._alone = alone

    async def __aenter__(self) -> "Watch":
        self._watching = asyncio.create_task(self._watch(_backend_pids[self._connection]))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._watching.cancel()
        # What it was asking goes by the way; across a network that is down, psycopg takes many seconds to give it up.
        await asyncio.wait([self._watching], timeout=PARTING_SECONDS)

    async def _watch(self, backend_pid: int) -> None:
        if not self._alone:
            await asyncio.sleep(self._seconds * 0.25)
            before = await self._ask(RUNNING_FOR, backend_pid)
            await asyncio.sleep(self._seconds * 0.2)
            if before is not None and await self._ask(RUNNING_FOR, backend_pid) == before:
                self.culprit = before
                await self._ask("select pg_catalog.pg_cancel_backend(%s)", backend_pid)
        await asyncio.sleep(self._seconds * (1.5 if self.culprit is None else 0.25))
        while True:
            await self._ask("select pg_catalog.pg_terminate_backend(%s)", backend_pid, fires=True)
            await asyncio.sleep(self._seconds)

    async def _ask(self, query: LiteralString, backend_pid: int, *, fires: bool = False) -> Any:
        try:
            async with await database.connect(conf.database) as other:
                # From now on it may be our doing that the connection ends; where the database is away, it is not.
                self.has_fired = self.has_fired or fires
                row = await (await other.execute(query, [backend_pid])).fetchone()
        except psycopg.Error:
            logger.warning("a check that takes long cannot be looked at now", exc_info=True)
            return None
        return row[0] if row else None


async def set_local(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set these until the end of the transaction."""
    await connection.execute(*_setting(settings))


def _setting(settings: Mapping[str, str]) -> tuple[bytes, list[str]]:
    calls = b", ".join([b"pg_catalog.set_config(%s, %s, true)"] * len(settings))
    return b"select " + calls, [part for setting in settings.items() for part in setting]


def _timeouts(seconds: float) -> dict[str, str]:
    # A lock that a migration holds is told from a policy that is slow.
    return {"statement_timeout": f"{seconds * 1000:.0f}", "lock_timeout": f"{seconds * 500:.0f}"}
