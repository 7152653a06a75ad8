"""Which relay leads: the one that wrote the row of the table ``leader`` last. The others stand by, and one takes over.

It takes over once the leader's connection has ended, or the leader was not seen for too long: its process is suspended,
or its host has gone. A leader that comes back finds that another leads. Two relays that both take themselves for the
leader do no harm: the batch's key lets only one of them number.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg

from ayb_realtime.postgres import sessions
from ayb_realtime.postgres.sql_files import statement

logger = logging.getLogger(__package__)

Connection = psycopg.AsyncConnection[Any]

TRY_SECONDS = 0.5
SEEN_SECONDS = 0.5
# A leader that was not seen for longer is suspended, or has lost its host.
LEADER_GONE_SECONDS = 3.0

LEAD = statement("lead")
# This also renews ``asleep_at`` while the relay sleeps: writers notify only while that is recent.
SEEN = """
select setval('ayb_realtime.leader_seen', ayb_realtime.milliseconds_v1()),
       (select setval('ayb_realtime.asleep_at', ayb_realtime.milliseconds_v1())
          from ayb_realtime.asleep_at where last_value > 0)
  from ayb_realtime.leader
 where term = %s
"""
# A relay that leads looks at the log twice a second at least.
LOOK_AGAIN_SECONDS = 2.0

# What is wrong with the relay, as ``runrealtime --check`` says it, and what to do.
NO_LEADER = "No relay leads. Start one: manage.py runrealtime"
SUSPENDED = (
    "The leading relay, Postgres' process {found.leader}, was last seen {found.unseen_seconds:.1f} s ago:"
    " it is suspended, or its host is gone, and no standby takes over. Continue it, or start another one:"
    " manage.py runrealtime"
)
NUMBERS_NOTHING = (
    "The leading relay, Postgres' process {found.leader}, numbers nothing. Its log says why, or pg_stat_activity what"
    " it waits for. Restart it"
)

STATUS = statement("status")


class Status(NamedTuple):
    """The relay's state.

    leader: the process id, in Postgres, of the leader's connection; None: no relay leads.
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
        return self.leader is not None and abs(self.unseen_seconds) <= LEADER_GONE_SECONDS


async def acquire(connection: Connection, stand_by: Callable[[], None]) -> UUID:
    """Wait until this relay leads, and return its term. Raises psycopg.Error if the connection is lost.

    stand_by: is called once if another relay leads.
    """
    term = uuid4()
    stands_by = False
    while (now := await status(connection)).has_leader or not await _begins(connection, term):
        if not stands_by:
            stand_by()
        stands_by = True
        await asyncio.sleep(TRY_SECONDS)
    if now.leader is not None:
        logger.warning(
            "the leader was not seen for %.1f s: this relay takes over",
            now.unseen_seconds,
            extra={"event_name": "leader_gone"},
        )
    return term


async def be_seen(connection: Connection, term: UUID) -> None:
    """Write down every half second that this relay leads, until another does; renew ``asleep_at`` while it sleeps."""
    while True:
        if not (await connection.execute(SEEN, [term])).rowcount:
            break
        await asyncio.sleep(SEEN_SECONDS)
    logger.warning("another relay has taken over", extra={"event_name": "relay_replaced"})


async def status(connection: Connection) -> Status:
    """Return the relay's state. Raises psycopg.Error."""
    rows = await sessions.fetch(connection, STATUS)
    return Status.of(next(iter(rows), None))


async def trouble(connection: Connection) -> tuple[Status, str]:
    """Return the relay's state, and what keeps changes from being numbered, with what to do; "" if nothing does.

    It takes LOOK_AGAIN_SECONDS if changes wait to be numbered. Raises psycopg.Error.
    """
    found = await status(connection)
    if not found.has_leader:
        return found, NO_LEADER if found.leader is None else SUSPENDED.format(found=found)
    if not found.waiting:
        return found, ""
    before = found
    await asyncio.sleep(LOOK_AGAIN_SECONDS)
    found = await status(connection)
    is_stuck = found.waiting > 0 and found.head == before.head
    return found, NUMBERS_NOTHING.format(found=found) if is_stuck else ""


async def _begins(connection: Connection, term: UUID) -> bool:
    """Lead, unless another relay does; return whether this one leads."""
    cursor = await connection.execute(LEAD, {"term": term, "gone": int(LEADER_GONE_SECONDS * 1000)})
    return cursor.rowcount == 1
