"""Finds, and makes if need be, the database function that checks a table for a role.

Called by ``checking`` and ``catalog_cache``.
"""

import psycopg
from psycopg import sql

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import CheckerNotMade
from ayb_realtime.postgres import database, sessions
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import transactions
from ayb_realtime.visibility.transactions import Connection

MAKE = "select ayb_realtime.make_check_function_v1(%s::pg_catalog.oid, %s)"
REMEDY = (
    "Where functions may be created, run `manage.py migrate`, which makes them for the roles that are granted SELECT on"
    " a table by name; or for this role: select ayb_realtime.make_check_function_v1({}::regclass, {});"
)


async def check_function_call(connection: Connection, table: Table, role: str) -> str | None:
    """Return the beginning of a call of the function that checks a table for a role, and make it if need be.

    connection: in a configured transaction.
    Returns None if the role may not read the table's key. Raises CheckerNotMade, and psycopg.Error if there is no such
    role.
    """
    known = transactions.state(connection).roles.get(table.relation, {}).get(role)
    call: str | None
    if known:
        call, is_made = known.check_function, known.is_check_function_made
    else:
        call, is_made = await _look_up(connection, table.relation, role)
    if call is None or is_made:
        return call
    # This transaction is read-only, perhaps on a standby, so that another one makes it. A snapshot does not hide new
    # functions. On a standby it may take a moment to appear: then the check is repeated.
    async with await database.connect(conf.hub_primary()) as maker:
        call = await make_check_function(maker, table, role)
    # A session learns of objects that others have made when it takes a lock that it does not hold yet.
    async with connection.transaction(force_rollback=True):
        await connection.execute("lock table ayb_realtime.epoch in access share mode")
    return call


async def make_check_function(connection: Connection, table: Table, role: str) -> str | None:
    """Make the function that checks a table for a role, unless it is there, and return the beginning of a call of it.

    connection: in no transaction.
    Returns None if the role may not read the table's key. Raises CheckerNotMade, also if another session, such as a
    migration, keeps the lock; psycopg.OperationalError if Postgres is away.
    """
    try:
        ((call,),) = await sessions.fetch(connection, MAKE, [table.relation, role], begin=sessions.WRITE)
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError) and not isinstance(error, psycopg.errors.LockNotAvailable):
            raise
        name = sql.Identifier(table.schema, table.name).as_string(connection)
        remedy = sql.SQL(REMEDY).format(sql.Literal(name), sql.Literal(role)).as_string(connection)
        raise CheckerNotMade(f"{error.diag.message_primary} (SQLSTATE {error.sqlstate}). {remedy}") from error
    return str(call) if call is not None else None


async def _look_up(connection: Connection, relation: int, role: str) -> tuple[str | None, bool]:
    cursor = await connection.execute(
        "select c.call, c.is_made from ayb_realtime.check_function_v1(%s::pg_catalog.oid, %s) as c", [relation, role]
    )
    return await cursor.fetchone() or (None, False)
