"""Finds the identity that holds up a check, and ends a check that does not end by itself.

Called by ``partwise_check``.
"""

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any

import psycopg

from ayb_realtime.conf import conf
from ayb_realtime.postgres import database, sessions
from ayb_realtime.visibility import transactions
from ayb_realtime.visibility.transactions import Connection

logger = logging.getLogger(__package__)

# The identity that a check is busy with: meanwhile its function holds an advisory lock with the identity's ordinal. No
# identity is to blame while the check waits for a table that another session has locked.
RUNNING_IDENTITY = """
select l.objid::int
  from pg_catalog.pg_locks l
 where l.pid = %s and l.locktype = 'advisory' and l.objsubid = 2
   and l.classid = pg_catalog.hashtext('ayb_realtime.identity')::oid
   and not exists (select from pg_catalog.pg_locks w where w.pid = l.pid and w.locktype = 'relation' and not w.granted)
"""
# How long to wait for the watchdog's own query to be cancelled: psycopg takes many seconds if the network is down.
ABANDON_SECONDS = 0.5


# The session that runs a message: meanwhile it holds an advisory lock with the message's number. Through a pooler it is
# not known by anything else before it has answered. As for sessions.TERMINATE, the role is the one that logs in. Any
# login of the server can hold a lock with that number, so only sessions of ours count: it may not end the others.
TERMINATE_MESSAGE = """
select pg_catalog.pg_terminate_backend(l.pid)
  from pg_catalog.set_config('role', 'none', true), pg_catalog.pg_locks l
  join pg_catalog.pg_stat_activity a on a.pid = l.pid and a.usename = session_user
 where l.locktype = 'advisory' and l.objsubid = 2
   and l.classid = pg_catalog.hashtext('ayb_realtime.message')::oid and l.objid = %s
"""


MARK = "pg_catalog.pg_try_advisory_xact_lock_shared(pg_catalog.hashtext('ayb_realtime.message'), {})"


class MessageWatchdog:
    """Ends the session that runs a message if that does not end by itself: a policy can catch its timeout, and go on.

    number: of the message, unlike that of any other that runs. If it could be foreseen, its lock could be taken.
    seconds: how long the message may take.
    """

    def __init__(self, number: int, seconds: float) -> None:
        self._number = number
        self._seconds = seconds
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._start)

    async def __aexit__(self, *error: object) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching], timeout=ABANDON_SECONDS)

    def _start(self) -> None:
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            await _query(conf.hub_database, TERMINATE_MESSAGE, self._number)
            await asyncio.sleep(self._seconds)


class Watchdog:
    """Watches a check from another connection: cancels it where one identity holds it up, and then ends its connection.

    A policy can catch a cancellation, as it can its timeout, and go on; it cannot outlive its connection.

    connection: in a configured transaction.
    seconds: how long the check may take. If one identity takes a fifth of that, the check is cancelled.
    alone: whether the check is about one identity, so that no other waits for it.
    slow_identity: the ordinal of the identity for which the check was cancelled, from 1; None while there is none.
    has_fired: whether the watchdog ended the connection.
    """

    def __init__(self, connection: Connection, seconds: float, *, alone: bool) -> None:
        self.slow_identity: int | None = None
        self.has_fired = False
        self._connection = connection
        self._seconds = seconds
        self._alone = alone

    async def __aenter__(self) -> "Watchdog":
        self._watching = asyncio.create_task(self._watch(transactions.state(self._connection).backend_pid))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._watching.cancel()
        await asyncio.wait([self._watching], timeout=ABANDON_SECONDS)

    async def _watch(self, backend_pid: int) -> None:
        if not self._alone:
            await self._cancel_for_slow_identity(backend_pid)
        await asyncio.sleep(self._seconds * (1.5 if self.slow_identity is None else 0.25))
        while True:
            await self._query(sessions.TERMINATE, backend_pid, fires=True)
            await asyncio.sleep(self._seconds)

    async def _cancel_for_slow_identity(self, backend_pid: int) -> None:
        """Cancel the check if it is busy with the same identity at two moments."""
        await asyncio.sleep(self._seconds * 0.25)
        before = await self._query(RUNNING_IDENTITY, backend_pid)
        await asyncio.sleep(self._seconds * 0.2)
        if before is not None and await self._query(RUNNING_IDENTITY, backend_pid) == before:
            self.slow_identity = before
            await self._query(sessions.CANCEL, backend_pid)

    async def _query(self, query: str, backend_pid: int, *, fires: bool = False) -> Any:
        """Run a query; fires: whether it ends the check's connection."""

        def connected() -> None:
            # Set before the query, since from now on the connection may end by our doing.
            self.has_fired = self.has_fired or fires

        return await _query(database.alias(self._connection), query, backend_pid, connected)


async def _query(alias: str, query: str, parameter: int, on_connected: Callable[[], None] = lambda: None) -> Any:
    """Run a query on a connection of its own; return its first value, or None where the database is away."""
    try:
        async with await database.connect(alias) as other:
            on_connected()
            rows = await sessions.fetch(other, query, [parameter])
    except psycopg.Error:
        logger.warning("cannot find out what holds up a check", exc_info=True, extra={"event_name": "watchdog_fails"})
        return None
    return rows[0][0] if rows else None
