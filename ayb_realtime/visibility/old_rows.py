"""To whom the policies would show a row as it was before its change. Called by ``checking``."""

from collections.abc import Mapping, Sequence

from psycopg import sql

from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility.answers import SharedView, grouped
from ayb_realtime.visibility.identities import settings_of
from ayb_realtime.visibility.partwise_check import PartwiseCheck
from ayb_realtime.visibility.transactions import Connection, query
from ayb_realtime.wire.records import Row

VISIBLE_BEFORE = sql.SQL(
    "select identity, shown, inexact, error"
    "  from ayb_realtime.visible_before_v1(%s::pg_catalog.oid, %s::pg_catalog.text[],"
    "       %s::pg_catalog.text[], %s::pg_catalog.text[], %s::pg_catalog.text[])"
)


class OldRowsCheck(PartwiseCheck):
    """A check of rows as they were before their changes.

    inexact: the positions of those of which Postgres cannot say exactly to whom they were visible.
    """

    def __init__(self, connection: Connection | None, table: Table, undefined_is_failure: bool) -> None:
        super().__init__(connection, table, undefined_is_failure)
        self.inexact: set[int] = set()

    async def _query(
        self, connection: Connection, rows: Mapping[int, Row], identities: Sequence[Identity]
    ) -> tuple[list[SharedView], dict[Identity, str]]:
        roles = [identity.role for identity in identities]
        parameters = [self._table.relation, [row.text for row in rows.values()], roles, *settings_of(identities)]
        positions = list(rows)
        replies = await query(connection, VISIBLE_BEFORE, parameters)
        self.inexact.update(positions[n - 1] for _, _, inexact, _ in replies for n in inexact or ())
        groups = grouped(([identities[identity - 1]], shown) for identity, shown, _, _ in replies)
        policy_errors = {identities[identity - 1]: error for identity, _, _, error in replies if error}
        views = [SharedView(dict.fromkeys(positions[n - 1] for n in shown), those) for shown, those in groups.items()]
        return views, policy_errors


async def why_inexact(connection: Connection, table: Table) -> str | None:
    """Return why Postgres cannot say exactly to whom an old row of this table was visible; None if it can."""
    cursor = await connection.execute("select ayb_realtime.inexact_reason_v1(%s::pg_catalog.oid)", [table.relation])
    row = await cursor.fetchone()
    return row[0] if row else None
