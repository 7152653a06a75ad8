"""For whom a check takes so long, and its end where a policy does not let go. Called by ``question``."""

import asyncio
import logging
from types import TracebackType
from typing import Any, LiteralString

import psycopg

from ayb_realtime.conf import conf
from ayb_realtime.postgres import database, sessions
from ayb_realtime.visibility import transactions
from ayb_realtime.visibility.transactions import Connection

logger = logging.getLogger(__package__)

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
        self._watching = asyncio.create_task(self._watch(transactions.known(self._connection).backend_pid))
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
                rows = await sessions.fetch(other, query, [backend_pid])
        except psycopg.Error:
            logger.warning("a check that takes long cannot be looked at now", exc_info=True)
            return None
        return rows[0][0] if rows else None
