"""A filter matches the rows that SELECT ... WHERE finds, for each type and operator."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import hypothesis
import pytest
from hypothesis import given, seed
from hypothesis import strategies as st
from psycopg import sql

from ayb_realtime import visibility
from ayb_realtime.filters import Clause, Filter
from ayb_realtime.identity import AUTHENTICATED_ROLE
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import Connection, FilteredIdentity, FilterIndex
from ayb_realtime.visibility.comparisons import condition
from ayb_realtime.visibility.filtering import comparisons
from ayb_realtime.wire.records import Row
from tests.integration.scenario import MakeTable, Owner, person
from tests.integration.visibility.conftest import checking

ORDER = ["=", "<>", "<", "<=", ">", ">="]
LIKE = ["~~", "~~*"]
TEXTS = ["", "a", "A", "ab", "é", "a,b", "a|b", "a\\b", 'q"u', "{x}", "null", "NULL", "50%", "a_b", "ä\n", "'"]
PATTERNS = ["a%", "A_", "%", "a\\%", "%\\_%", "50\\%", "é", "", "a\\\\b"]
# Column → its type, its operators, and values that it is written and compared with.
COLUMNS: Mapping[str, tuple[str, Sequence[str], Sequence[str]]] = {
    "t": ("text", ORDER + LIKE, TEXTS),
    "v": ("varchar(4)", ORDER + LIKE, [text for text in TEXTS if len(text) <= 4]),
    "c": ("char(3)", ORDER + LIKE, ["", "a", "a  ", "A", "ab"]),
    "plain": ('text collate "C"', ORDER + LIKE, TEXTS),
    "name": ("name", ORDER + LIKE, ["", "a", "A", "b"]),
    "ci": ("aside.citext", ORDER + LIKE, ["a", "A", "b", "é"]),
    "i": ("int", ORDER, ["-1", "0", " 1", "2147483647"]),
    "b": ("bigint", ORDER, ["9007199254740993", "9007199254740992", "-1"]),
    "n": ("numeric(9,2)", ORDER, ["1.00", "1", "1.005", "-0.50", "NaN", "0"]),
    "f": ("float8", ORDER, ["0.1", "NaN", "Infinity", "-0", "1e300", "0"]),
    "r": ("real", ORDER, ["0.1", "1e-30", "3"]),
    "o": ("bool", ORDER, ["true", "f", "1"]),
    "at": ("timestamptz", ORDER, ["2026-02-07 22:00+00", "2026-02-07 23:00:00.123456+01", "infinity", "0044-03-15 BC"]),
    "ts": ("timestamp", ORDER, ["2026-02-07 22:00", "-infinity", "2026-02-07"]),
    "d": ("date", ORDER, ["2026-02-07", "2026-02-08", "infinity"]),
    "iv": ("interval", ORDER, ["1 day", "24:00", "1 mon -1 day", "-00:00:01"]),
    "u": ("uuid", ORDER, ["00000000-0000-0000-0000-000000000001", "{F0000000-0000-0000-0000-000000000001}"]),
    "mood": ("aside.mood", ORDER, ["sad", "ok", "Happy, very"]),
    "positive": ("aside.positive", ORDER, ["1", "22"]),
    "address": ("inet", ORDER, ["10.0.0.1", "10.0.0.0/8", "::1"]),
    "bytes": ("bytea", ORDER, ["\\x00ff", "\\x61", ""]),
    "range": ("int4range", ORDER, ["[1,3)", "empty", "[1,2]", "(,5)"]),
    "bits": ("varbit", ORDER, ["101", "1", ""]),
}
SETUP = """
create schema aside;
create extension citext schema aside;
create type aside.mood as enum ('sad', 'ok', 'Happy, very');
create domain aside.positive as int check (value > 0);
grant usage on schema aside to ayb_authenticated;
"""
EXAMPLES = 25


@pytest.fixture
def rows(owner: Owner, make_table: MakeTable) -> Iterator[dict[int, Row]]:
    """The rows of a table, as they were logged, by id: each value in one of them, and a row of nulls."""
    owner.execute(SETUP)
    make_table(
        "notes", "id int primary key, " + ", ".join(f'"{name}" {type_}' for name, (type_, _, _) in COLUMNS.items())
    )
    statement = sql.SQL("insert into notes values ({})")
    for n in range(max(len(values) for *_, values in COLUMNS.values())):
        written = [values[n % len(values)] for *_, values in COLUMNS.values()]
        owner.execute(statement.format(sql.SQL(", ").join([sql.Literal(n), *map(sql.Literal, written)])))
    owner.execute("insert into notes (id) values (-1)")
    logged = owner.execute(
        "select record ->> 'id', record::text from ayb_realtime.change where relation = 'notes'::regclass"
        " and action = 'create'"
    ).fetchall()
    yield {int(row_id): Row(record) for row_id, record in logged}
    owner.execute("drop schema aside cascade")


def clauses() -> st.SearchStrategy[Clause]:
    """Return any condition."""
    compared = [
        st.builds(Clause, st.just(name), st.just(operator), _values(operator, values))
        for name, (_, operators, values) in COLUMNS.items()
        for operator in operators
    ]
    states = [
        st.builds(Clause, st.sampled_from(names), st.just("is"), st.tuples(st.sampled_from(allowed)))
        for names, allowed in [([*COLUMNS], ["null", "not_null"]), (["o"], ["true", "false"])]
    ]
    return st.one_of(*compared, *states)


def _values(operator: str, values: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    if operator == "=":
        return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True).map(tuple)
    return st.tuples(st.sampled_from([*values, *PATTERNS] if operator in LIKE and "\\x61" not in values else values))


async def test_filters_match_what_select_finds(rows: dict[int, Row]) -> None:
    filters = st.lists(st.frozensets(clauses(), min_size=1, max_size=3), min_size=1, max_size=40, unique=True)
    compared = []
    async with checking("notes") as (connection, table):

        @seed(42)
        @hypothesis.settings(max_examples=EXAMPLES, deadline=None, database=None)
        @given(filters)
        def run(wanted: list[Filter]) -> None:
            compared.append(len(wanted))
            asyncio.run_coroutine_threadsafe(compare(connection, table, rows, wanted), loop).result()

        loop = asyncio.get_running_loop()
        await asyncio.to_thread(run)
    assert sum(compared) > 5 * EXAMPLES


async def compare(connection: Connection, table: Table, rows: Mapping[int, Row], filters: list[Filter]) -> None:
    """Compare what matches these filters with what SELECT finds: as one would write it, and as snapshots do."""
    who = person(1)
    index = FilterIndex((who, FilteredIdentity(who.role, who.settings, wanted)) for wanted in filters)
    found = await visibility.matches(connection, table, AUTHENTICATED_ROLE, rows, index)
    assert not found.failed
    for wanted in filters:
        matched = found.matched.get(wanted, set())
        assert matched == await selected(connection, sql.SQL(" and ").join([*map(written, wanted)])), wanted
        comparands = [(clause.column, clause.operator) for clause in wanted]
        known = await comparisons(connection, table.relation, AUTHENTICATED_ROLE, comparands)
        as_in_snapshots = condition({clause: known[clause.column, clause.operator] for clause in wanted})
        assert matched == await selected(connection, as_in_snapshots), wanted


def written(clause: Clause) -> sql.Composable:
    """Write a condition as one would by hand."""
    column = sql.Identifier(clause.column)
    if clause.operator == "is":
        return sql.SQL("{} is {}").format(column, sql.SQL(clause.values[0].replace("_", " ")))
    each = [sql.SQL("{} {} {}").format(column, sql.SQL(clause.operator), sql.Literal(value)) for value in clause.values]
    return sql.SQL("({})").format(sql.SQL(" or ").join(each))


async def selected(connection: Connection, where: sql.Composable) -> set[int]:
    """Return the ids of the rows for which a condition holds."""
    statement = sql.SQL("select t.id from public.notes t where {}").format(where)
    async with connection.transaction():
        await connection.execute("set local search_path = aside, public; set local role ayb_authenticated")
        cursor = await connection.execute(statement.as_string(connection))
        found = {row_id for (row_id,) in await cursor.fetchall()}
        await connection.execute("set local role none")
        return found


async def test_columns_collation_decides(owner: Owner, make_table: MakeTable) -> None:
    known = "select collname from pg_collation where collname in ('und-x-icu', 'pg_c_utf8') order by collname desc"
    (collation,) = owner.execute(known).fetchone() or (None,)
    make_table("notes", f'id int primary key, t text collate "{collation}", plain text collate "C"')
    row = Row('{"id":1,"t":"é","plain":"é"}')
    t, plain = (frozenset({Clause(column, "~~*", ("É",))}) for column in ("t", "plain"))
    who = person(1)
    index = FilterIndex((who, FilteredIdentity(who.role, who.settings, wanted)) for wanted in (t, plain))
    async with checking("notes") as (connection, table):
        found = await visibility.matches(connection, table, AUTHENTICATED_ROLE, {1: row}, index)
        assert found.matched == {t: {1}}
