"""The transactions in which rows are read and checked: their settings, and what is known in them."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from ayb_realtime.conf import conf
from ayb_realtime.postgres import database, sessions

Connection = psycopg.AsyncConnection[Any]

BEGIN = b"begin isolation level repeatable read read only; "
# How a row reads as JSON: the settings of capture_v1(), since a check compares the text.
JSON_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "array_nulls": "on",
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
    # Before version 18, a plan is so dear without sequential scans that each query would start workers.
    "max_parallel_workers_per_gather": "0",
}
# A process that is stopped in the middle of a check holds locks on the tables that it has read, and on those that their
# policies read: Postgres ends its connection when it has said nothing for so long, or not taken what it was sent.
FROZEN_SECONDS = 10


# How much of the time for a check is given to wait for the locks of its tables.
LOCK_PART = 0.25


@dataclass(slots=True)
class Known:
    """What is known in a prepared transaction.

    backend_pid: of the process that works for it. Not what the connection was told: a proxy's is its own invention.
    states: by table and by role, what ``run_v1`` has said of them.
    locked: the tables that others keep from being read, so that nothing can be asked about them.
    """

    backend_pid: int
    states: dict[int, dict[str, tuple[Any, ...]]] = field(default_factory=dict)
    locked: set[int] = field(default_factory=set)


# Each prepared transaction begins anew here: what was true for one snapshot is forgotten in the next.
_known: WeakKeyDictionary[Connection, Known] = WeakKeyDictionary()


def known(connection: Connection) -> Known:
    """Return what is known in the current transaction, which is a prepared one."""
    return _known[connection]


@asynccontextmanager
async def prepared(connection: Connection, lock: Collection[str] = ()) -> AsyncIterator[None]:
    """Run a block in a prepared transaction that is read-only and sees one snapshot.

    lock: tables, quoted, whose definition is to stay as it is from before the snapshot to the end.
    Raises psycopg.errors.LockNotAvailable, before the block, where one is not to be had.
    """
    try:
        await prepare(connection, BEGIN + _locking(lock))
        async with _attended(connection):
            yield
    except BaseException:
        with suppress(psycopg.Error):  # What has happened is told by the first error.
            await connection.rollback()
        raise
    finally:
        _known.pop(connection, None)
    await connection.commit()


async def can_lock(connection: Connection, lock: Collection[str]) -> bool:
    """Tell whether these tables may be locked just now. connection: in no transaction."""
    try:
        await connection.execute(BEGIN + _locking(lock) + b"commit")
    except psycopg.errors.LockNotAvailable:
        await connection.rollback()
        return False
    return True


def _locking(tables: Collection[str]) -> bytes:
    """Return statements that lock tables against a change of their definition. They take no snapshot.

    They wait less than Postgres does until it looks for a deadlock, of which a migration might be the victim.
    """
    if not tables:
        return b""
    names = ", ".join(f"only {name}" for name in tables)
    timeout = f"set local lock_timeout = {conf.check_timeout_seconds * LOCK_PART * 1000:.0f}"
    return f"{timeout}; lock table {names} in access share mode; ".encode()


@asynccontextmanager
async def _attended(connection: Connection) -> AsyncIterator[None]:
    """Let Postgres hear from a transaction whose process runs, while a block is busy elsewhere: it is not stopped."""
    ended = asyncio.Event()

    async def speak() -> None:
        while not ended.is_set():
            try:
                async with asyncio.timeout(FROZEN_SECONDS / 4):
                    await ended.wait()
            except TimeoutError:
                with suppress(psycopg.Error):  # The block's own statements tell.
                    await connection.execute("select")

    speaking = asyncio.create_task(speak())
    try:
        yield
    finally:
        ended.set()
        await speaking


async def commit(connection: Connection, question: bytes, parameters: Sequence[object]) -> list[Any]:
    """End the current transaction, and put a question of what is so then, in the same message; return its rows."""
    cursor = psycopg.AsyncClientCursor(connection)
    await cursor.execute(b"commit; " + sessions.READ.encode() + b"; " + question + b"; commit", parameters)
    cursor.nextset()
    cursor.nextset()
    return await cursor.fetchall()


async def prepare(connection: Connection, begin: bytes = b"") -> None:
    """Give the current transaction the settings under which rows are read and checked. begin: what begins it."""
    session = await sessions.of(connection)
    found = {"search_path": session.search_path, **session.differing}
    setting, settings = _setting(
        {**found, **JSON_SETTINGS, **PLAN_SETTINGS, **_frozen(), **_timeouts(conf.check_timeout_seconds)}
    )
    cursor = psycopg.AsyncClientCursor(connection)
    await cursor.execute(begin.replace(b"%", b"%%") + setting + b", pg_catalog.pg_backend_pid()", settings)
    while cursor.nextset():
        pass
    ((*_, backend_pid),) = await cursor.fetchall()
    _known[connection] = Known(backend_pid)


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


async def set_local(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set these until the end of the transaction."""
    await connection.execute(*_setting(settings))


def _setting(settings: Mapping[str, str]) -> tuple[bytes, list[str]]:
    calls = b", ".join([b"pg_catalog.set_config(%s, %s, true)"] * len(settings))
    return b"select " + calls, [part for setting in settings.items() for part in setting]


def _timeouts(seconds: float) -> dict[str, str]:
    # A lock that a migration holds is told from a policy that is slow.
    return {"statement_timeout": f"{seconds * 1000:.0f}", "lock_timeout": f"{seconds * 500:.0f}"}


def _frozen() -> dict[str, str]:
    milliseconds = f"{FROZEN_SECONDS * 1000:.0f}"
    return {"idle_in_transaction_session_timeout": milliseconds, "tcp_user_timeout": milliseconds}
