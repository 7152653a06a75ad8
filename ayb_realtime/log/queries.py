"""The statements of the change log: number what has committed, read what was numbered.

The relay and the hub call them. No other module knows the log's SQL, but ``relay.leadership`` its state: who leads, and
whether the relay sleeps.
"""

from collections.abc import Collection, Set
from typing import Any

import psycopg

from ayb_realtime.exceptions import NotMigrated, PositionUnavailable
from ayb_realtime.log import slices
from ayb_realtime.log.changes import Action, Announcement, Change
from ayb_realtime.log.slices import LARGEST_CHARACTERS, Slice
from ayb_realtime.postgres import sessions
from ayb_realtime.postgres.sql_files import statement
from ayb_realtime.reset_reasons import ResetReason

SIZE = """
select pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid))
  from pg_catalog.pg_class c
 where c.relnamespace = 'ayb_realtime'::pg_catalog.regnamespace and c.relkind = 'r'
"""

Connection = psycopg.AsyncConnection[Any]

# How many bytes of records are read at a time; a larger change is read alone.
READ_BYTES = 256 * 1024
# How many positions one query may skip.
SKIP_POSITIONS = 100_000
# How many bytes and changes of a new batch are returned; the hubs read the rest from the log.
NEW_BYTES = 4 * 1024 * 1024
NEW_CHANGES = 5000


async def group(connection: Connection) -> str:
    """Return the name of the Channels layer's group for this log, and for no other."""
    ((name,),) = await sessions.fetch(connection, statement("group"))
    return str(name)


async def ensure_epoch(connection: Connection) -> bool:
    """Begin a new epoch if the log needs one.

    Return whether the log is empty then, as after a restore or a failover. After a restart of the server it goes on.
    """
    return bool(await _value(connection, "select ayb_realtime.ensure_epoch_v1()"))


async def epoch(connection: Connection) -> int | None:
    """Return where the log's epoch begins; None if the log needs a new one: it was restored, or emptied by hand."""
    rows = await sessions.fetch(
        connection, "select beginning from ayb_realtime.epoch where ayb_realtime.is_same_life_v1()"
    )
    return int(rows[0][0]) if rows else None


async def prune(connection: Connection, keep_hours: float) -> bool:
    """Empty the oldest eighth of the log if the newest has been written to for long enough; return whether it was.

    Raises psycopg.errors.LockNotAvailable while a transaction still uses that eighth; then try again later.
    """
    is_due = bool(await _value(connection, "select ayb_realtime.prune_v1(%s * interval '1 hour')", keep_hours))
    if is_due:
        await connection.execute("select ayb_realtime.next_slot_v1()")
    return is_due


async def announce_altered(connection: Connection) -> None:
    """Log an ``alter`` of each table whose rows may have come or gone without a trigger since the last call."""
    await connection.execute("select ayb_realtime.announce_altered_v1()")


async def stay_awake(connection: Connection) -> None:
    """Tell the writers that the relay looks at the log itself, so that they need not notify it."""
    await connection.execute("select setval('ayb_realtime.asleep_at', 0)")


async def fall_asleep(connection: Connection) -> int:
    """Ask the writers to notify for the next two seconds, and for longer while ``leadership.be_seen`` runs.

    Return a fence: transactions up to it may still believe that they need not.
    """
    await connection.execute("select setval('ayb_realtime.asleep_at', ayb_realtime.milliseconds_v1())")
    return int(await _value(connection, "select pg_current_xact_id()::text"))


async def is_past(connection: Connection, fence: int) -> bool:
    """Return whether every transaction up to a fence has ended."""
    return bool(await _value(connection, "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint > %s", fence))


async def keep_before(connection: Connection, is_kept: bool) -> None:
    """Tell the writers whether to log also the row as an update or a delete found it."""
    await _value(connection, "select setval('ayb_realtime.keeps_before', %s)", int(is_kept))


async def keep_plans(connection: Connection) -> None:
    """Let a connection plan each statement once: planning ``next_batch`` takes five times as long as executing it.

    connection: to Postgres itself, or through a pooler in session mode.
    """
    connection.prepare_threshold = 0
    # The plans have to fit a log whose parts are empty now and have millions of rows later, so indexes are always used.
    # Before version 18 that setting makes a plan's cost so high that Postgres would compile it.
    await connection.execute("set enable_seqscan = off")
    await connection.execute("set jit = off")
    await connection.execute("set plan_cache_mode = force_generic_plan")


async def next_batch(connection: Connection) -> Announcement | None:
    """Number what has committed, in batches, and announce it, or the beginning of it; None if nothing has.

    connection: in autocommit mode.
    Raises psycopg.errors.UniqueViolation if another relay has just numbered: this one must stop.
    """
    parameters = {"bytes": NEW_BYTES, "changes": NEW_CHANGES}
    rows = await (await connection.execute(statement("next_plain_batch"), parameters)).fetchall()
    if rows and rows[0][-1] is None:
        rows = await (await connection.execute(statement("next_batch"), parameters)).fetchall()
    return Announcement(rows[0][-1], tuple(Change.from_row(row) for *row, _ in rows if row[0])) if rows else None


async def skip(connection: Connection, *, after: int, upto: int, skippable: Collection[int]) -> int:
    """Return a position between these two, up to which only skippable tables have changed.

    Whole batches are skipped, by the tables that each row of the table ``batch`` names.
    """
    parameters = {"after": after, "upto": min(upto, after + SKIP_POSITIONS), "skippable": list(skippable)}
    ((skipped,),) = await sessions.fetch(connection, statement("skip"), parameters)
    return max(after, min(skipped or 0, upto))


async def read(connection: Connection, *, after: int, upto: int, skippable: Collection[int] = ()) -> list[Change]:
    """Return the changes at the positions after ``after``, at most up to ``upto`` and READ_BYTES, but at least one.

    skippable: tables whose changes come stripped: ``record`` and ``before`` are None. The caller drops them.
    Where an epoch ends at ``after`` and the log goes on in the next one, that is the change: its action is EPOCH,
    its relation 0, and its position after which to go on, perhaps beyond ``upto``.
    Raises PositionUnavailable if the log does not hold them.
    """
    # A character has at most four bytes.
    limits = {"bytes": READ_BYTES, "largest": 4 * LARGEST_CHARACTERS, "characters": LARGEST_CHARACTERS + 1}
    parameters = {"after": after, "upto": upto, "skippable": list(skippable), **limits}
    changes = [Change.from_row(row) for row in await sessions.fetch(connection, statement("read_changes"), parameters)]
    if not changes:
        changes = [
            Change.from_row(row) for row in await sessions.fetch(connection, statement("next_epoch"), {"after": after})
        ]
    elif [change.position for change in changes] != list(range(after + 1, after + 1 + len(changes))):
        changes = []
    if not changes:
        raise PositionUnavailable(ResetReason.NO_LONGER_HELD)
    return changes


async def read_slice(connection: Connection, *, after: int, upto: int, skippable: Set[int]) -> Slice:
    """Return the slice that begins after a position and ends at ``upto`` at the latest.

    Where only ``skippable`` tables have changed, it holds no change, and may go on beyond ``slices.slice_end``.
    Raises PositionUnavailable if the log does not hold what comes after the position.
    """
    if skippable and upto - after > slices.SLICE_CHANGES:
        skipped = await skip(connection, after=after, upto=upto, skippable=skippable)
        if skipped > after:
            return Slice((), skipped, skippable)
    changes = await read(connection, after=after, upto=min(upto, slices.slice_end(after)), skippable=skippable)
    # An altered table may have the name that a stream of another one follows.
    wanted = [change for change in changes if change.relation not in skippable or change.action is Action.ALTER]
    return Slice(wanted, changes[-1].position, skippable)


async def bounds(connection: Connection) -> tuple[int, int]:
    """Return the position before the oldest one that the log holds, and the newest one.

    A client can resume after a position from the first to the second. Raises NotMigrated if the log has no epoch.
    """
    ((oldest, newest),) = await sessions.fetch(connection, statement("bounds"))
    if oldest is None:
        raise NotMigrated("the log has no epoch: run migrate")
    return int(oldest), int(newest)


async def head(connection: Connection) -> int:
    """Return the newest position. Raises NotMigrated if the log has no epoch."""
    return (await bounds(connection))[1]


async def size_bytes(connection: Connection) -> int:
    """Return what the log takes on disk, with its indexes."""
    ((size,),) = await sessions.fetch(connection, SIZE)
    return int(size)


async def _value(connection: Connection, query: str, *parameters: object) -> Any:
    row = await (await connection.execute(query, parameters or None)).fetchone()
    return row[0] if row else None
