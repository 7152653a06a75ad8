"""Locks tables, so that their definitions stay as they are while rows are checked, and finds the locks of others.

Called by ``transactions`` and ``partwise_check``.
"""

from collections.abc import Collection

from ayb_realtime.conf import conf
from ayb_realtime.postgres import sessions
from ayb_realtime.postgres.sessions import Connection

# Another session keeps all others from reading some table of this database, as migrations do.
LOCKED = (
    "select exists (select from pg_catalog.pg_locks l"
    "                 join pg_catalog.pg_database d on d.oid = l.database and d.datname = current_database()"
    "                where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.granted)"
)

WAITED_FOR = "select exists (select from pg_locks where not granted and %s = any (pg_blocking_pids(pid)))"

# How much of the time for a check to wait for the locks of its tables. It has to be less than the deadlock_timeout of
# Postgres, which might otherwise end a migration as the victim of a deadlock.
LOCK_PART = 0.25


def lock_statements(tables: Collection[str], *, wait: bool = True) -> str:
    """Return statements, each ending in a semicolon, that lock these tables and take no snapshot.

    tables: their quoted names. wait: whether to wait for a lock that another session holds.
    """
    if not tables:
        return ""
    names = ", ".join(f"only {name}" for name in tables)
    if not wait:
        return f"lock table {names} in access share mode nowait; "
    timeout = f"set local lock_timeout = {conf.check_timeout_seconds * LOCK_PART * 1000:.0f}"
    return f"{timeout}; lock table {names} in access share mode; "


async def is_a_table_locked(connection: Connection) -> bool:
    """Tell whether another session keeps all others from reading some table."""
    cursor = await connection.execute(LOCKED)
    return await cursor.fetchone() == (True,)


async def is_waited_for(connection: Connection, backend_pid: int) -> bool:
    """Tell whether some session waits for a lock that this server process holds."""
    ((is_so,),) = await sessions.fetch(connection, WAITED_FOR, [backend_pid])
    return bool(is_so)
