"""Asks Postgres which rows match which filters of streams. Called by ``planning``, ``one_message`` and ``selection``.

Postgres compares the text that a client is sent, not the row in the table: so what matches is what is sent, and nothing
is read that the client may not read. It does so under the role of the streams, since a type's operators may be a
user's functions. Each column and operator is asked about once, with all rows and all values.
"""

from collections.abc import Collection, Mapping

from ayb_realtime.filters import Comparand
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import transactions
from ayb_realtime.visibility.comparisons import COMPARISONS, Comparison
from ayb_realtime.visibility.filter_asking import Asking
from ayb_realtime.visibility.filter_index import FilterIndex, Matches
from ayb_realtime.visibility.transactions import Connection
from ayb_realtime.wire.records import Row


async def matches(
    connection: Connection, table: Table, role: str, rows: Mapping[int, Row], index: FilterIndex
) -> Matches:
    """Return which of these rows match which filters.

    connection: in a ``check_transaction``, or a ``snapshot``.
    rows: by position, as those with the role are sent them.
    Raises psycopg.Error if the connection is lost.
    """
    known = await comparisons(connection, table.relation, role, index.comparands())
    index, refused = index.without({each for each in index.comparands() if not known[each].operator})
    truths = {position: index.truth(row.columns) for position, row in rows.items()}
    await Asking(connection, table, role, known, truths, rows).ask(index)
    found = index.matches(truths)
    return Matches(found.matched, found.failed, refused)


async def comparisons(
    connection: Connection, relation: int, role: str, comparands: Collection[Comparand]
) -> Mapping[Comparand, Comparison]:
    """Return how these columns are compared, from the facts about the table if they are kept."""
    known = transactions.state(connection).comparisons.setdefault(relation, {}).setdefault(role, {})
    if missing := [comparand for comparand in comparands if comparand not in known]:
        names, signs = [name for name, _ in missing], [sign for _, sign in missing]
        cursor = await connection.execute(COMPARISONS, [names, signs, relation, role])
        known |= zip(missing, [Comparison.of(row) for row in await cursor.fetchall()], strict=True)
    return known
