"""Which relay leads: the one whose connection holds a lock. The others stand by, and take over.

A lost connection is lost leadership, and Postgres notices one within seconds. A leader that is stopped, and so keeps
its connection, is not seen any more: then a standby ends that connection. Two that both believe to lead are harmless,
for the batch's key lets only one of them number.
"""

import asyncio
import logging
from typing import Any, NoReturn

import psycopg

from ayb_realtime.postgres import sessions
from ayb_realtime.postgres.database import sql

logger = logging.getLogger(__package__)

Connection = psycopg.AsyncConnection[Any]

TRY_SECONDS = 0.5
SEEN_SECONDS = 0.5
# A leader that was not seen for so long is stopped.
LEADER_GONE_SECONDS = 3.0

LOCK = "select pg_try_advisory_lock(hashtext('ayb_realtime'), hashtext('leader'))"
# Writers notify a relay that sleeps only for as long as that is seen, too.
SEEN = """
select setval('ayb_realtime.leader_seen', ayb_realtime.milliseconds_v1()),
       (select setval('ayb_realtime.asleep_at', ayb_realtime.milliseconds_v1())
          from ayb_realtime.asleep_at where last_value > 0)
"""
# The server closes the leader's connection, and so frees the lock, when its host has been silent for so long.
SESSION = (
    "select set_config('tcp_keepalives_idle', '1', false), set_config('tcp_keepalives_interval', '1', false),"
    " set_config('tcp_keepalives_count', '1', false), set_config('tcp_user_timeout', '2000', false)"
)


async def acquire(connection: Connection) -> None:
    """Wait until this connection holds the lock. Raises psycopg.Error if it is lost."""
    await connection.execute(SESSION)
    stands_by = False
    while not await _holds(connection):
        if not stands_by:
            logger.info("another relay leads; this one stands by")
        stands_by = True
        leader, unseen_seconds, *_ = await status(connection)
        if leader is not None and unseen_seconds > LEADER_GONE_SECONDS:
            logger.warning("the leader was not seen for %.1f s: its connection is ended", unseen_seconds)
            await connection.execute("select pg_terminate_backend(%s)", [leader])
        await asyncio.sleep(TRY_SECONDS)
    await connection.execute(SEEN)


async def be_seen(connection: Connection) -> NoReturn:
    """Show that this relay leads, for ever."""
    while True:
        await connection.execute(SEEN)
        await asyncio.sleep(SEEN_SECONDS)


async def status(connection: Connection) -> tuple[int | None, float, int, int]:
    """Return the leader's process id in Postgres or None, how long ago it was seen, the head, the changes that wait."""
    rows = await sessions.fetch(connection, sql("status"))
    if not rows:
        return None, float("inf"), 0, 0
    leader, unseen_seconds, head, waiting = rows[0]
    return leader, float(unseen_seconds), head, waiting


async def _holds(connection: Connection) -> bool:
    row = await (await connection.execute(LOCK)).fetchone()
    return bool(row and row[0])
