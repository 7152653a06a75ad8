"""The transactions in which rows are read and checked: their settings, and their end where a policy does not let go."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

import psycopg
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


async def prepare(connection: Connection) -> None:
    """Give the current transaction the settings under which rows are read and checked."""
    await set_local(connection, {**JSON_SETTINGS, **PLAN_SETTINGS, **_timeouts(conf.check_timeout_seconds)})


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
    async with await database.connect(conf.database) as connection:
        await database.read_one_snapshot(connection)
        async with connection.transaction(force_rollback=True):
            await prepare(connection)
            yield connection


class Watch:
    """Ends a connection unless a block ends in time: a policy can catch its timeout, and go on.

    has_fired: whether it has.
    """

    def __init__(self, connection: Connection, seconds: float) -> None:
        self.has_fired = False
        self._connection = connection
        self._seconds = seconds

    async def __aenter__(self) -> "Watch":
        # Not the one that the connection was told: a proxy's is its own invention.
        cursor = await self._connection.execute("select pg_catalog.pg_backend_pid()")
        self._watching = asyncio.create_task(self._end(*(await cursor.fetchone() or ())))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._watching.cancel()
        await asyncio.wait([self._watching])

    async def _end(self, backend_pid: int) -> None:
        await asyncio.sleep(self._seconds)
        self.has_fired = True
        while True:
            try:
                async with await database.connect(conf.database) as other:
                    await other.execute("select pg_terminate_backend(%s)", [backend_pid])
            except psycopg.Error:
                logger.warning("a check that does not end cannot be ended now", exc_info=True)
            await asyncio.sleep(self._seconds)


async def set_local(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set these until the end of the transaction."""
    calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    await connection.execute(f"select {calls}", [part for setting in settings.items() for part in setting])


def _timeouts(seconds: float) -> dict[str, str]:
    # A lock that a migration holds is told from a policy that is slow.
    return {"statement_timeout": f"{seconds * 1000:.0f}", "lock_timeout": f"{seconds * 500:.0f}"}
