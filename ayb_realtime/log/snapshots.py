"""Which changes a snapshot of the database has, in the log's positions. Called by ``hub.snapshots``."""

from ayb_realtime.log import queries
from ayb_realtime.log.queries import Connection
from ayb_realtime.postgres import sessions
from ayb_realtime.postgres.sql_files import statement


async def begin(connection: Connection) -> tuple[int, str]:
    """Return the newest position that a transaction's snapshot sees, and the snapshot.

    connection: in a transaction that sees one snapshot. Raises NotMigrated if the log has no epoch.
    """
    async with connection.transaction(force_rollback=True):
        await sessions.rely(connection)
        cursor = await connection.execute("select pg_current_snapshot()::text")
        ((seen,),) = await cursor.fetchall()
        return await queries.head(connection), str(seen)


async def seen_positions(connection: Connection, *, after: int, seen: str) -> list[range] | None:
    """Return the positions after the newest that a snapshot sees whose changes it sees all the same, in order.

    They are those of transactions that had committed and were not numbered yet. None: some are not numbered even now.
    after, seen: as ``begin`` returned them.
    """
    rows = await sessions.fetch(connection, statement("snapshot_positions"), {"after": after, "seen": seen})
    return [range(first, last + 1) for first, last in rows if first is not None] if rows else None
