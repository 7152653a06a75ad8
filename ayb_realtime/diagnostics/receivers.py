"""Which of some identities would be sent a row now. For operators, as ``explain`` is, and by the hub's own check."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import psycopg

from ayb_realtime import visibility
from ayb_realtime.conf import conf
from ayb_realtime.diagnostics.explain_row import read_row, row_expression
from ayb_realtime.exceptions import CannotExplain
from ayb_realtime.identity import Identity
from ayb_realtime.postgres import database, sessions, tables
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import Answers, Connection
from ayb_realtime.wire.records import Row


@dataclass(frozen=True, slots=True)
class Receivers:
    """Who sees a row, of those that were asked about.

    unknown: those about whom Postgres did not answer in time, or whose table is locked.
    """

    seeing: Collection[Identity]
    unknown: Collection[Identity]


async def receivers(name: str, key: Sequence[str], identities: Collection[Identity]) -> Receivers:
    """Ask Postgres who of these sees a row.

    name, key: the table's name, as clients write it; the text of each key column.
    Raises UnknownTable, CannotExplain, UncancellablePolicy, psycopg.Error.
    """
    async with await database.connect(conf.database) as connection:
        await database.read_one_snapshot(connection)
        async with connection.transaction():
            await sessions.rely(connection)
            (table,) = tables.named(await tables.streamed(connection), [name])
            answers = await _ask(connection, table, key, identities)
    seeing = [each for each in identities if 1 in answers.visible_to(each)]
    unknown = [each for each in identities if each in answers.unanswered or each in answers.locked_out]
    return Receivers(seeing, unknown)


async def _ask(connection: Connection, table: Table, key: Sequence[str], identities: Collection[Identity]) -> Answers:
    await visibility.configure(connection)
    try:
        row = await read_row(connection, table, key, await row_expression(connection, table))
    except psycopg.errors.InsufficientPrivilege as error:
        found = f"The row can only be looked for as a subscriber: {error.diag.message_primary}. Explain it for each."
        raise CannotExplain(found) from error
    if row is None:
        raise CannotExplain(f"There is no row ({', '.join(key)}) in {table.name}. Only its delete can be sent.")
    readers, _ = await visibility.may_select(connection, table, identities)
    return await visibility.check(connection, table, {1: Row(row[0])}, readers, undefined_is_failure=True)
