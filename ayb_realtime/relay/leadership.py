"""Which relay leads: the one whose connection holds a lock. The others stand by, and one takes over.

A leader that loses its connection loses the lock, and Postgres notices that within seconds. A leader whose process is
suspended keeps its connection but is no longer seen: a standby then ends the connection. Two relays that both take
themselves for the leader do no harm: the batch's key lets only one of them number.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import psycopg

from ayb_realtime.postgres import sessions
from ayb_realtime.postgres.sql_files import statement

logger = logging.getLogger(__package__)

Connection = psycopg.AsyncConnection[Any]

TRY_SECONDS = 0.5
SEEN_SECONDS = 0.5
# A leader that was not seen for longer is suspended, or has lost its host.
LEADER_GONE_SECONDS = 3.0

LOCK = "select pg_try_advisory_lock(hashtext('ayb_realtime'), hashtext('leader'))"
# This also renews ``asleep_at`` while the relay sleeps: writers notify only while that is recent.
SEEN = """
select setval('ayb_realtime.leader_seen', ayb_realtime.milliseconds_v1()),
       (select setval('ayb_realtime.asleep_at', ayb_realtime.milliseconds_v1())
          from ayb_realtime.asleep_at where last_value > 0)
"""
# The server closes the leader's connection, and so frees the lock, after its host has been silent for a few seconds.
SESSION = (
    "select set_config('tcp_keepalives_idle', '1', false), set_config('tcp_keepalives_interval', '1', false),"
    " set_config('tcp_keepalives_count', '1', false), set_config('tcp_user_timeout', '2000', false)"
)

STATUS = statement("status")


class Status(NamedTuple):
    """The relay's state.

    leader: the process id, in Postgres, of the leader's connection; None: no relay holds the lock.
    unseen_seconds: since a leader was last seen.
    head: the newest position.
    waiting: how many logged rows are not numbered yet; several of them may become one position.
    """

    leader: int | None = None
    unseen_seconds: float = float("inf")
    head: int = 0
    waiting: int = 0

    @classmethod
    def of(cls, row: Sequence[Any] | None) -> "Status":
        """Make it of the row that STATUS returns; None: nothing was ever numbered."""
        if row is None:
            return cls()
        leader, unseen_seconds, head, waiting = row
        return cls(leader, float(unseen_seconds), head, waiting)

    @property
    def has_leader(self) -> bool:
        """Whether a relay leads, and was seen a moment ago."""
        return self.leader is not None and self.unseen_seconds <= LEADER_GONE_SECONDS


async def acquire(connection: Connection) -> None:
    """Wait until this connection holds the lock. Raises psycopg.Error if the connection is lost."""
    await connection.execute(SESSION)
    stands_by = False
    while not await _holds(connection):
        if not stands_by:
            logger.info("another relay leads; this one stands by")
        stands_by = True
        now = await status(connection)
        if now.leader is not None and not now.has_leader:
            logger.warning("the leader was not seen for %.1f s: its connection is ended", now.unseen_seconds)
            await connection.execute(sessions.TERMINATE, [now.leader])
        await asyncio.sleep(TRY_SECONDS)
    await connection.execute(SEEN)


async def be_seen(connection: Connection) -> NoReturn:
    """Write down every half second that this relay leads, until cancelled; renew ``asleep_at`` while it sleeps."""
    while True:
        await connection.execute(SEEN)
        await asyncio.sleep(SEEN_SECONDS)


async def status(connection: Connection) -> Status:
    """Return the relay's state. Raises psycopg.Error."""
    rows = await sessions.fetch(connection, STATUS)
    return Status.of(next(iter(rows), None))


async def _holds(connection: Connection) -> bool:
    row = await (await connection.execute(LOCK)).fetchone()
    return bool(row and row[0])
