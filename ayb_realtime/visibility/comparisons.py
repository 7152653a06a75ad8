"""How Postgres compares a column with values, as SQL. Called by ``filtering`` and ``selection``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from ayb_realtime.filters import IS, Clause

COMPARISONS = (
    "select c.column_type, c.value_type, c.operator, c.collation"
    "  from rows from (pg_catalog.unnest(%s::pg_catalog.text[]), pg_catalog.unnest(%s::pg_catalog.text[]))"
    "       with ordinality as s (name, sign, n)"
    " cross join lateral ayb_realtime.comparison_v1(%s::pg_catalog.oid, %s, s.name, s.sign) c order by s.n"
)
# Where the operator holds: the ordinals, from 1, of the values of a column, and of those that they are compared with.
PAIRS = (
    "select {}, r.n::pg_catalog.int4, w.n::pg_catalog.int4"
    " from pg_catalog.unnest({}::{}[]) with ordinality as r (value, n)"
    " cross join pg_catalog.unnest({}::{}[]) with ordinality as w (value, n)"
    " where r.value {} {} w.value"
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What ``comparison_v1`` says of a column and an operator, as SQL."""

    column_type: str
    value_type: str
    operator: str
    collation: str

    @classmethod
    def of(cls, row: Sequence[str | None]) -> "Comparison":
        """Make one of a row of COMPARISONS. Texts are empty where the row has null."""
        return cls(*[text or "" for text in row])

    def pairs(self, place: int, own: Sequence[str | None], values: Sequence[str]) -> sql.Composable:
        """Return a query for the pairs of these texts for which the operator holds, each after ``place``."""
        return sql.SQL(PAIRS).format(
            place, text_array(own), _sql(self.column_type), text_array(values), _sql(self.value_type),
            _sql(self.collation), _sql(self.operator),
        )  # fmt: skip


def condition(wanted: Mapping[Clause, Comparison]) -> sql.Composable:
    """Return the SQL condition on a row ``t`` that all of these hold."""
    return sql.SQL(" and ").join([_clause(*each) for each in wanted.items()])


def _clause(clause: Clause, comparison: Comparison) -> sql.Composable:
    column = sql.Identifier("t", clause.column)
    if clause.operator == IS:
        (state,) = clause.values
        return sql.SQL("{} is {}").format(column, sql.SQL(state.replace("_", " ")))
    operator, values, value_type = _sql(comparison.operator), text_array(clause.values), _sql(comparison.value_type)
    return sql.SQL("{} {} any ({}::{}[])").format(column, operator, values, value_type)


def _sql(text: str) -> sql.SQL:
    return sql.SQL(text)


def text_array(texts: Sequence[str | None]) -> str:
    """Write an array as Postgres reads it, whatever the type of its elements; None is null."""
    return f"{{{','.join(['null' if text is None else _quoted(text) for text in texts])}}}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'
