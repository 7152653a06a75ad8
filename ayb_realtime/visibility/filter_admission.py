"""Whether Postgres can evaluate filters. Called by ``hub.admission`` when streams are opened."""

from collections.abc import Collection, Iterable, Iterator, Mapping

import psycopg

from ayb_realtime.filters import IS, OPERATORS, Clause, Comparand, Filter
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import transactions
from ayb_realtime.visibility.comparisons import Comparison
from ayb_realtime.visibility.filter_questions import LIKE, Piece, statements
from ayb_realtime.visibility.filtering import comparisons
from ayb_realtime.visibility.transactions import Connection

# The types whose values LIKE takes as text.
TEXT_TYPES = {"pg_catalog.varchar", "pg_catalog.bpchar", "pg_catalog.name"}


async def refusals(connection: Connection, table: Table, role: str, filters: Collection[Filter]) -> dict[Filter, str]:
    """Return what is wrong with each of these filters that Postgres cannot evaluate for a role.

    connection: in a ``snapshot``. Raises psycopg.Error if it is lost.
    """
    comparands = dict.fromkeys((clause.column, clause.operator) for wanted in filters for clause in wanted)
    known = await comparisons(connection, table.relation, role, comparands)
    found = {wanted: problem for wanted in filters for clause in wanted if (problem := _problem(table, clause, known))}
    clauses = {clause for wanted in filters if wanted not in found for clause in wanted if clause.operator != IS}
    if clauses and await _error(connection, table, role, clauses, known):
        errors = {clause: await _error(connection, table, role, [clause], known) for clause in clauses}
        found |= {wanted: error for wanted in filters for clause in wanted if (error := errors.get(clause))}
    return found


def _problem(table: Table, clause: Clause, known: Mapping[Comparand, Comparison]) -> str:
    comparison = known[clause.column, clause.operator]
    if not comparison.column_type:
        return f"unknown column: {table.name}.{clause.column}"
    is_state = clause.operator == IS and clause.values[0] in ("true", "false")
    if not comparison.operator or (is_state and comparison.column_type != "pg_catalog.bool"):
        name = next(name for name, operator in OPERATORS.items() if operator == clause.operator)
        return f"{table.name}.{clause.column}: {name} is not for the type {comparison.column_type}"
    if clause.operator in LIKE and any(map(_ends_in_escape, clause.values)):
        return f"{table.name}.{clause.column}: LIKE pattern must not end with escape character"
    return ""


def _ends_in_escape(pattern: str) -> bool:
    """Tell whether LIKE fails at the end of a pattern: only for texts that match what is before, also hidden ones."""
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1


async def _error(
    connection: Connection, table: Table, role: str, clauses: Iterable[Clause], known: Mapping[Comparand, Comparison]
) -> str:
    """Return the error of reading and comparing the values of some conditions; "" if there is none."""
    pieces = list(_pieces(clauses, known))
    try:
        async with connection.transaction():
            await transactions.results(connection, "; ".join(statements(connection, pieces, known, role)))
    except psycopg.Error as error:
        if connection.closed:
            raise
        return f"{table.name}.{pieces[0].comparand[0]}: {error.diag.message_primary}"
    return ""


def _pieces(clauses: Iterable[Clause], known: Mapping[Comparand, Comparison]) -> Iterator[Piece]:
    values: dict[Comparand, dict[str, None]] = {}
    for clause in clauses:
        values.setdefault((clause.column, clause.operator), {}).update(dict.fromkeys(clause.values))
    for comparand, found in values.items():
        comparison = known[comparand]
        is_text = comparand[1] in LIKE and comparison.column_type in (comparison.value_type, *TEXT_TYPES)
        # LIKE refuses some collations when it compares.
        yield Piece(comparand, list(found), {0: next(iter(found)) if is_text else None})
