"""What the tests of visibility share: a transaction to check in, and what identities see of all that the log holds."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ayb_realtime import visibility
from ayb_realtime.identity import Identity
from ayb_realtime.postgres import database
from ayb_realtime.postgres.tables import Table, streamed
from ayb_realtime.wire.records import Row

LOGGED = """
select record::text from ayb_realtime.change join pg_class on pg_class.oid = relation
 where relname = %s and action in ('create', 'update') order by id
"""


async def seen(table: str, identities: Sequence[Identity]) -> list[dict[int, str | None]]:
    """Check everything that the log holds of a table, as if it were new; return what each identity sees by position."""
    async with await database.connect("default") as reader:
        logged = await (await reader.execute(LOGGED, [table])).fetchall()
    rows = {place: Row(record) for place, (record,) in enumerate(logged, 1)}
    async with checking(table) as (connection, target):
        answer = await visibility.check(connection, target, rows, identities)
        return [dict(answer[identity]) for identity in identities]


@asynccontextmanager
async def checking(table: str) -> AsyncIterator[tuple[visibility.Connection, Table]]:
    """Prepare a transaction to check a table in."""
    async with database.pool() as pool, pool.connection() as connection, connection.transaction():
        await visibility.prepare(connection)
        yield connection, next(each for each in await streamed(connection) if each.name == table)
