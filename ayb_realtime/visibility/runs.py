"""The transaction in which a run of changes is checked. What it has to know is asked as it begins."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from ayb_realtime.tables import Table
from ayb_realtime.visibility import transactions
from ayb_realtime.visibility.transactions import Connection

QUESTION = b"select * from ayb_realtime.run_v1(%s::bigint[], %s::text[])"
# So many columns of it are a table's.
TABLE_COLUMNS = 7


@asynccontextmanager
async def run(connection: Connection, relations: Collection[int], roles: Collection[str]) -> AsyncIterator[list[Table]]:
    """Run a block in a prepared transaction, that is read-only and sees one snapshot.

    Yields those of these tables that are streamed. What there is to say of these roles is known in the block.
    Raises psycopg.Error.
    """
    async with transactions.prepared(connection, QUESTION, [list(relations), list(roles)]) as rows:
        tables = {}
        known = transactions.known(connection)
        for row in rows:
            table = Table.from_row(row[:TABLE_COLUMNS])
            tables[table.relation] = table
            known.states[table.relation, row[TABLE_COLUMNS]] = row[TABLE_COLUMNS:]
        yield list(tables.values())
