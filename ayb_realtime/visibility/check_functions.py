"""Finds, and makes if need be, the database function that checks a table for a role.

Called by ``checking`` and ``catalog_cache``.
"""

import psycopg

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import CheckerNotMade
from ayb_realtime.postgres import database, sessions
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import transactions
from ayb_realtime.visibility.transactions import Connection

MAKE = "select ayb_realtime.make_check_function_v1(%s::oid, %s)"


async def check_function_name(connection: Connection, table: Table, role: str) -> str | None:
    """Return the name of the function that checks a table for a role, and make it if need be.

    connection: in a configured transaction.
    Returns None if the role may not read the table's key. Raises CheckerNotMade, and psycopg.Error if there is no such
    role.
    """
    known = transactions.state(connection).roles.get(table.relation, {}).get(role)
    name: str | None
    if known:
        name, is_made = known.check_function, known.is_check_function_made
    else:
        name, is_made = await _look_up(connection, table.relation, role)
    if name is None or is_made:
        return name
    # This transaction is read-only, so that another one makes it. A snapshot does not hide new functions.
    async with await database.connect(conf.database) as maker:
        name = await make_check_function(maker, table.relation, role)
    # A session learns of objects that others have made when it takes a lock that it does not hold yet.
    async with connection.transaction(force_rollback=True):
        await connection.execute("lock table ayb_realtime.epoch in access share mode")
    return name


async def make_check_function(connection: Connection, relation: int, role: str) -> str | None:
    """Make the function that checks a table for a role, unless there is one, and return its name.

    connection: in no transaction.
    Returns None if the role may not read the table's key. Raises CheckerNotMade; psycopg.OperationalError if Postgres
    is away, or another session holds the lock.
    """
    try:
        ((name,),) = await sessions.fetch(connection, MAKE, [relation, role], begin=sessions.WRITE)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        remedy = f"select ayb_realtime.make_check_function_v1({relation}, '{role}');"
        raise CheckerNotMade(f"{error}. As a user who may create functions there: {remedy}") from error
    return str(name) if name is not None else None


async def _look_up(connection: Connection, relation: int, role: str) -> tuple[str | None, bool]:
    cursor = await connection.execute(
        "select c.name, pg_catalog.to_regproc('ayb_realtime.' || c.name) is not null"
        "  from ayb_realtime.check_function_v1(%s::oid, %s) as c",
        [relation, role],
    )
    return await cursor.fetchone() or (None, False)
