"""To whom the policies show rows as they are now. Called by ``checking``."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql

from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility.answers import SharedView, grouped
from ayb_realtime.visibility.identities import settings_of
from ayb_realtime.visibility.partwise_check import PartwiseCheck
from ayb_realtime.visibility.transactions import Connection, query
from ayb_realtime.wire import records
from ayb_realtime.wire.records import Row

# Who sees which rows, by a check function, of which this takes the beginning of a call.
STATEMENT = (
    "select identity, shown, records, error"
    "  from {}%s::pg_catalog.json, %s::int, %s::pg_catalog.text[], %s::pg_catalog.text[])"
)


class CurrentRowsCheck(PartwiseCheck):
    """A check of rows for identities of one role, by the check function of which this is the beginning of a call."""

    def __init__(self, connection: Connection | None, table: Table, undefined_is_failure: bool, call: str) -> None:
        super().__init__(connection, table, undefined_is_failure)
        self._statement = sql.SQL(STATEMENT).format(sql.SQL(call))

    async def _query(
        self, connection: Connection, rows: Mapping[int, Row], identities: Sequence[Identity]
    ) -> tuple[list[SharedView], dict[Identity, str]]:
        replies = await query(connection, self._statement, parameters(self._table, rows, identities))
        return read_views(replies, list(rows), identities)


def parameters(table: Table, rows: Mapping[int, Row], identities: Sequence[Identity]) -> list[Any]:
    """Return the parameters of STATEMENT."""
    return [_keys(table, rows), len(identities), *settings_of(identities)]


def read_views(
    replies: Sequence[tuple[Any, ...]], positions: Sequence[int], identities: Sequence[Identity]
) -> tuple[list[SharedView], dict[Identity, str]]:
    """Return who sees which rows, and for whom the policies failed, as in ``Answers``.

    replies: the rows of a check function: for each run of identities the ordinal of its last, the ordinals of the rows
        that they see, and the SQLSTATE of a failure. The last reply is for all: the ordinals of the rows that any
        identity sees, and each as it is.
    positions, identities: what the ordinals count, from 1.
    """
    *own, (_, ordinals, records, _) = replies
    # A volatile policy may have shown a row, and then not let it be read.
    rows = dict(zip(ordinals, records, strict=True))
    begins = [0, *(last for last, _, _, _ in own)]
    runs = [(identities[begin:last], shown, error) for begin, (last, shown, _, error) in zip(begins, own, strict=False)]
    groups = grouped((those, shown) for those, shown, _ in runs)
    policy_errors = {identity: error for those, _, error in runs for identity in those if error}
    views = [
        SharedView({positions[n - 1]: rows[n] for n in shown if n in rows}, those) for shown, those in groups.items()
    ]
    return views, policy_errors


def _keys(table: Table, rows: Mapping[int, Row]) -> str:
    """Write the JSON array that the function takes. The key's values are JSON text already, not to be parsed."""
    keys = [
        records.join({"n": str(n), "record": json.dumps(row.text), **table.key_members(row.columns)})
        for n, row in enumerate(rows.values(), start=1)
    ]
    return f"[{','.join(keys)}]"
