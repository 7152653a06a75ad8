"""Locks tables, so that their definitions stay as they are while rows are checked, and finds the locks of others.

Called by ``transactions`` and ``partwise_check``.
"""

from collections.abc import Collection
from itertools import groupby
from operator import itemgetter

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


# The quoted role that may lock a table, or "" if the session's own may; and the table's quoted name.
Lockable = tuple[str, str]


def begin_locked(connection: Connection, tables: Collection[Lockable], *, wait: bool = True) -> str:
    """Return statements, each ending in a semicolon, that begin a transaction, lock these tables and take no snapshot.

    wait: whether to wait for a lock that another session holds.
    """
    own_role, acting = f"{sessions.own_role(connection)}; ", ""
    text = sessions.begin(connection)
    if tables and wait:
        text += f"set local lock_timeout = {conf.check_timeout_seconds * LOCK_PART * 1000:.0f}; "
    for role, group in groupby(tables, key=itemgetter(0)):
        if role != acting:
            text += f"set local role {role}; " if role else own_role
        names = ", ".join(f"only {name}" for _, name in group)
        text += f"lock table {names} in access share mode{'' if wait else ' nowait'}; "
        acting = role
    return text + own_role if acting else text


async def is_a_table_locked(connection: Connection) -> bool:
    """Tell whether another session keeps all others from reading some table."""
    cursor = await connection.execute(LOCKED)
    return await cursor.fetchone() == (True,)


async def is_waited_for(connection: Connection, backend_pid: int) -> bool:
    """Tell whether some session waits for a lock that this server process holds."""
    ((is_so,),) = await sessions.fetch(connection, WAITED_FOR, [backend_pid])
    return bool(is_so)
