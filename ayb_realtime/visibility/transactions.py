"""The transactions in which rows are read and checked, and what is known in each of them."""

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
from ayb_realtime.filters import Comparand
from ayb_realtime.postgres import database, sessions
from ayb_realtime.visibility import transaction_settings
from ayb_realtime.visibility.comparisons import Comparison
from ayb_realtime.visibility.locking import Lockable, begin_locked
from ayb_realtime.visibility.policy_predicates import Equality
from ayb_realtime.visibility.role_states import TableRole

Connection = psycopg.AsyncConnection[Any]


@dataclass(slots=True)
class TransactionState:
    """What is known in a configured transaction.

    backend_pid: of the server process that runs it. The pid that the connection was told may be a proxy's invention.
    roles: by table and by role, what is known of the role.
    locked: the tables that other sessions have locked, so that nothing can be asked about them.
    equalities: by table and by role, what the policies require, once it has been derived.
    comparisons: by table and by role, how columns are compared with the values of filters.
    head: of the log, as the snapshot shows it, if the hub reads a standby.
    """

    backend_pid: int
    head: int
    roles: dict[int, dict[str, TableRole]] = field(default_factory=dict)
    locked: set[int] = field(default_factory=set)
    equalities: dict[int, dict[str, list[Equality] | None]] = field(default_factory=dict)
    comparisons: dict[int, dict[str, dict[Comparand, Comparison]]] = field(default_factory=dict)


HEAD = (
    "coalesce((select b.first_position operator(pg_catalog.+) b.size operator(pg_catalog.-) 1"
    "   from ayb_realtime.batch b order by b.id desc limit 1), 0)"
)

# What code of a table's owner has set for the session ends with the check. Check functions undo what a policy sets, but
# not what a domain's constraint or an operator does.
UNDO = "rollback to savepoint checked"

# Set when a transaction is configured.
_states: WeakKeyDictionary[Connection, TransactionState] = WeakKeyDictionary()


def state(connection: Connection) -> TransactionState:
    """Return what is known in the connection's transaction, which is a configured one."""
    return _states[connection]


@asynccontextmanager
async def snapshot(
    connection: Connection, lock: Collection[Lockable] = (), *, wait: bool = True
) -> AsyncIterator[None]:
    """Run a block in a configured transaction that is read-only and sees one snapshot.

    lock: the tables whose definitions have to stay as they are from before the snapshot to the end.
    wait: whether to wait for a lock that another session holds.
    Raises psycopg.errors.LockNotAvailable, before the block, if another session has locked one of them.
    """
    try:
        await configure(connection, begin_locked(connection, lock, wait=wait))
        async with _kept_alive(connection):
            yield
    except BaseException:
        with suppress(psycopg.Error):  # The first error says what has happened.
            await connection.rollback()
        raise
    finally:
        _states.pop(connection, None)
    if connection.info.transaction_status != TransactionStatus.IDLE:
        await connection.execute(f"{UNDO}; commit")


@asynccontextmanager
async def new_snapshot() -> AsyncIterator[Connection]:
    """Open a connection and run a block in a ``snapshot`` on it. Raises psycopg.Error."""
    async with await database.connect(conf.hub_database) as connection, snapshot(connection):
        yield connection


async def can_lock(connection: Connection, lock: Collection[Lockable]) -> bool:
    """Tell whether these tables could be locked just now. connection: in no transaction."""
    try:
        await connection.execute(begin_locked(connection, lock) + "commit")
    except psycopg.errors.LockNotAvailable:
        await connection.rollback()
        return False
    return True


@asynccontextmanager
async def _kept_alive(connection: Connection) -> AsyncIterator[None]:
    """Send Postgres a statement now and then while a block is busy elsewhere: it would end the transaction of a
    process that has stopped.
    """
    ended = asyncio.Event()

    async def keep_alive() -> None:
        while not ended.is_set():
            try:
                async with asyncio.timeout(transaction_settings.FROZEN_SECONDS / 4):
                    await ended.wait()
            except TimeoutError:
                with suppress(psycopg.Error):  # The block's own statements fail then, too.
                    await connection.execute("select")

    keeping = asyncio.create_task(keep_alive())
    try:
        yield
    finally:
        ended.set()
        await keeping


async def configure(connection: Connection, begin: str = "") -> None:
    """Give the current transaction the settings under which rows are read and checked.

    begin: statements that begin the transaction, each ending in a semicolon.
    """
    setting = await setting_of_check(connection, conf.check_timeout_seconds)
    setting += ", pg_catalog.pg_backend_pid(); savepoint checked"
    (((*_, head, backend_pid),),) = await results(connection, begin + setting)
    _states[connection] = TransactionState(backend_pid, head)


async def setting_of_check(connection: Connection, seconds: float) -> str:
    """Return a SELECT, to which more may be added, of a check's settings; last, the head on a standby, or 0."""
    # A policy of an earlier check may have taken locks for the session, which would mislead the watchdog.
    setting = sessions.setting(connection, transaction_settings.of_check(await sessions.of(connection), seconds))
    return f"{setting}, pg_catalog.pg_advisory_unlock_all(), {HEAD if conf.hub_reads_standby() else 0}"


async def results(connection: Connection, statements: str) -> list[list[Any]]:
    """Run statements in one message; return the rows of each that returns rows. Raises psycopg.Error."""
    cursor = psycopg.AsyncClientCursor(connection)
    await cursor.execute(statements)
    found = []
    while True:
        if cursor.rownumber is not None:
            found.append(await cursor.fetchall())
        if not cursor.nextset():
            return found


async def query(connection: Connection, statement: sql.Composable, parameters: Sequence[object]) -> list[Any]:
    """Run a query, in one message, and return its rows. After an error the transaction is what it was before.

    connection: in a transaction. Raises psycopg.Error.
    """
    cursor = psycopg.AsyncClientCursor(connection)
    guarded = sql.SQL("savepoint attempt; {}; release savepoint attempt").format(statement).as_string(connection)
    try:
        await cursor.execute(guarded, parameters)
    except psycopg.Error:
        if connection.info.transaction_status == TransactionStatus.INERROR:
            await connection.execute("rollback to savepoint attempt; release savepoint attempt")
        raise
    cursor.nextset()
    return await cursor.fetchall()


async def commit_and_query(connection: Connection, statement: str, parameters: Sequence[object]) -> list[Any]:
    """Commit, and run a query in a new transaction, in one message; return its rows."""
    query = psycopg.AsyncClientCursor(connection).mogrify(statement, parameters)
    (rows,) = await results(connection, f"{UNDO}; commit; {sessions.begin(connection)}{query}; commit")
    return rows


@asynccontextmanager
async def time_limit(connection: Connection, seconds: float) -> AsyncIterator[None]:
    """Give each statement of a block this long, in a configured transaction."""
    if seconds == conf.check_timeout_seconds:
        yield
        return
    await set_local(connection, transaction_settings.timeouts(seconds))
    try:
        yield
    finally:
        if connection.info.transaction_status == TransactionStatus.INTRANS:
            await set_local(connection, transaction_settings.timeouts(conf.check_timeout_seconds))


async def set_local(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set these until the end of the transaction."""
    calls = ", ".join(["pg_catalog.set_config(%s, %s, true)"] * len(settings))
    await connection.execute(f"select {calls}", [part for setting in settings.items() for part in setting])
