"""To whom the policies show rows as they are now. Called by ``visibility`` alone."""

import json
from collections.abc import Mapping, Sequence
from functools import cache

from psycopg import sql

from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility.attempts import Answer, Question, Seen, settings_of
from ayb_realtime.visibility.transactions import Connection, query
from ayb_realtime.wire.records import Row


class RowsQuestion(Question):
    """A check of rows for identities of one role, by the function that ``checker`` names."""

    def __init__(self, connection: Connection | None, table: Table, undefined_is_failure: bool, checker: str) -> None:
        super().__init__(connection, table, undefined_is_failure)
        self._query = sql.SQL(
            "select identity, shown, records, error from ayb_realtime.{}(%s::json, %s::int, %s::text[], %s::text[])"
        ).format(sql.Identifier(checker))

    async def _answers(
        self, connection: Connection, rows: Mapping[int, Row], identities: Sequence[Identity]
    ) -> list[Answer]:
        parameters = [_keys(self._table, rows), len(identities), *settings_of(identities)]
        answers = await query(connection, self._query, parameters)
        # The last is not an identity's: it has the rows that anybody sees.
        _, ordinals, records, _ = answers.pop()
        contents = dict(zip(ordinals, records, strict=True))

        @cache
        def seen(*shown: int) -> Seen:
            # A policy that is volatile may have shown a row, and then not let it be read.
            return {n: contents[n] for n in shown if n in contents}

        return [(identity, seen(*(shown or ())), error) for identity, shown, _, error in answers]


def _keys(table: Table, rows: Mapping[int, Row]) -> str:
    """Write the JSON array that the function takes. The key's values are JSON text already, not to be parsed."""
    members = []
    for n, row in enumerate(rows.values()):
        key = "".join(f',"k{place}":{row.columns[name]}' for place, name in enumerate(table.key_columns, 1))
        members.append(f'{{"n":{n},"record":{json.dumps(row.text)}{key}}}')
    return f"[{','.join(members)}]"
