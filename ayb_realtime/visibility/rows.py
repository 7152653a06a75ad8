"""To whom the policies show rows as they are now. Called by ``visibility`` alone."""

import json
from collections.abc import Mapping, Sequence
from functools import cache

import psycopg
from psycopg import sql

from ayb_realtime import database, sessions
from ayb_realtime.conf import conf
from ayb_realtime.exceptions import RealtimeError
from ayb_realtime.identity import Identity
from ayb_realtime.records import Row
from ayb_realtime.tables import Table
from ayb_realtime.visibility import transactions
from ayb_realtime.visibility.question import Answer, Question, Seen, settings_of
from ayb_realtime.visibility.transactions import Connection, ask


class CheckerNotMade(RealtimeError):
    """Postgres does not make the function that checks a table for a role, and says why."""


class RowsQuestion(Question):
    """A check of rows for identities of one role, by the function that ``checker`` names."""

    def __init__(self, connection: Connection | None, table: Table, insist: bool, checker: str) -> None:
        super().__init__(connection, table, insist)
        self._query = sql.SQL(
            "select identity, shown, records, error from ayb_realtime.{}(%s::json, %s::int, %s::text[], %s::text[])"
        ).format(sql.Identifier(checker))

    async def _answers(
        self, connection: Connection, rows: Mapping[int, Row], identities: Sequence[Identity]
    ) -> list[Answer]:
        parameters = [_keys(self._table, rows), len(identities), *settings_of(identities)]
        answers = await ask(connection, self._query, parameters)
        # The last is not an identity's: it has the rows that anybody sees.
        _, ordinals, records, _ = answers.pop()
        contents = dict(zip(ordinals, records, strict=True))

        @cache
        def seen(*shown: int) -> Seen:
            # A policy that is volatile may have shown a row, and then not let it be read.
            return {n: contents[n] for n in shown if n in contents}

        return [(identity, seen(*(shown or ())), error) for identity, shown, _, error in answers]


async def checker(connection: Connection, table: Table, role: str) -> str | None:
    """Return the name of the function that checks a table for a role, and make it if need be.

    None: the role may not read the table's key. Raises CheckerNotMade, and psycopg.Error, also where there is no such
    role.
    """
    name: str | None
    known = transactions.known(connection).states
    if (table.relation, role) in known:
        *_, name, exists = known[table.relation, role]
    else:
        cursor = await connection.execute(
            "select c.name, pg_catalog.to_regproc('ayb_realtime.' || c.name) is not null"
            "  from ayb_realtime.checker_v1(%s::oid, %s) as c",
            [table.relation, role],
        )
        name, exists = await cursor.fetchone() or (None, False)
    if name is not None and not exists:
        # Not in this transaction, which is read-only; but a function is found as it is now, whatever the snapshot.
        async with await database.connect(conf.database) as maker:
            make = "select ayb_realtime.make_checker_v1(%s::oid, %s)"
            try:
                ((name,),) = await sessions.fetch(maker, make, [table.relation, role], begin=sessions.WRITE)
            except psycopg.OperationalError:  # Away, or in somebody's way.
                raise
            except psycopg.Error as error:
                raise CheckerNotMade(str(error)) from error
        # A session hears of what others have made when it takes a lock that it does not hold.
        async with connection.transaction(force_rollback=True):
            await connection.execute("lock table ayb_realtime.epoch in access share mode")
    return name


def _keys(table: Table, rows: Mapping[int, Row]) -> str:
    """Write the JSON array that the function takes. The key's values are JSON text already, not to be parsed."""
    members = []
    for n, row in enumerate(rows.values()):
        key = "".join(f',"k{place}":{row.columns[name]}' for place, name in enumerate(table.key_columns, 1))
        members.append(f'{{"n":{n},"record":{json.dumps(row.text)}{key}}}')
    return f"[{','.join(members)}]"
