"""To whom the policies would show a row as it was, which need not be there any more. Called by ``visibility`` alone."""

from collections.abc import Mapping, Sequence

from psycopg import sql

from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility.attempts import Answer, Question, settings_of
from ayb_realtime.visibility.transactions import Connection, query
from ayb_realtime.wire.records import Row

VISIBLE_BEFORE = sql.SQL(
    "select identity, shown, inexact, error"
    "  from ayb_realtime.visible_before_v1(%s::oid, %s::text[], %s::text[], %s::text[], %s::text[])"
)


class OldRowsQuestion(Question):
    """A check of rows as they were before their changes.

    inexact: the positions of those that do not tell to whom they were shown.
    """

    def __init__(self, connection: Connection | None, table: Table, undefined_is_failure: bool) -> None:
        super().__init__(connection, table, undefined_is_failure)
        self.inexact: set[int] = set()

    async def _answers(
        self, connection: Connection, rows: Mapping[int, Row], identities: Sequence[Identity]
    ) -> list[Answer]:
        roles = [identity.role for identity in identities]
        parameters = [self._table.relation, [row.text for row in rows.values()], roles, *settings_of(identities)]
        positions = list(rows)
        answers: list[Answer] = []
        for identity, shown, inexact, error in await query(connection, VISIBLE_BEFORE, parameters):
            self.inexact.update(positions[n - 1] for n in inexact or ())
            answers.append((identity, {n - 1: None for n in shown or ()}, error))
        return answers


async def why_inexact(connection: Connection, table: Table) -> str | None:
    """Return what keeps Postgres from saying to whom an old row of this table was shown, or None."""
    cursor = await connection.execute("select ayb_realtime.inexact_v1(%s::oid)", [table.relation])
    row = await cursor.fetchone()
    return row[0] if row else None
