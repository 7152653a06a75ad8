"""Whether Postgres can evaluate a filter. Called by ``hub.admission`` when a stream is opened."""

import psycopg

from ayb_realtime.exceptions import InvalidParameter
from ayb_realtime.filters import IS, OPERATORS, Filter
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import transactions
from ayb_realtime.visibility.filter_questions import Piece, statements
from ayb_realtime.visibility.filtering import comparisons
from ayb_realtime.visibility.transactions import Connection


async def require(connection: Connection, table: Table, role: str, wanted: Filter) -> None:
    """Raise InvalidParameter if a role may not read a column, or if Postgres cannot compare it with the values.

    connection: in a ``snapshot``.
    """
    comparands = [(clause.column, clause.operator) for clause in wanted]
    known = await comparisons(connection, table.relation, role, comparands)
    for clause in wanted:
        named = f"{table.name}.{clause.column}"
        comparison = known[clause.column, clause.operator]
        name = next(name for name, operator in OPERATORS.items() if operator == clause.operator)
        if not comparison.column_type:
            raise InvalidParameter(f"filter: unknown column: {named}")
        is_state = clause.operator == IS and clause.values[0] in ("true", "false")
        if not comparison.operator or (is_state and comparison.column_type != "pg_catalog.bool"):
            raise InvalidParameter(f"filter: {named}: {name} is not for the type {comparison.column_type}")
        if clause.operator != IS:
            piece = Piece((clause.column, clause.operator), clause.values, {0: clause.values[0]})
            try:
                await transactions.results(connection, "; ".join(statements(connection, [piece], known, role)))
            except (psycopg.OperationalError, psycopg.InterfaceError):
                raise
            except psycopg.Error as error:
                raise InvalidParameter(f"filter: {named}: {error.diag.message_primary}") from None
