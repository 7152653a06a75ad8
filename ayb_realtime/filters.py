"""Parses ``&filter=``: conditions on the columns of a stream's tables. Pure. Source: docs/protocol.md.

Values stay text: Postgres reads and compares them, as values of the column's type.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ayb_realtime.exceptions import InvalidParameter

# A column and one of Postgres' operators; or "is", which compares with what JSON has words for.
Comparand = tuple[str, str]
# A comparand, and the value to compare the column with.
Test = tuple[str, str, str]

IS = "is"
OPERATORS: Mapping[str, str] = {
    "eq": "=", "in": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "like": "~~", "ilike": "~~*",
    IS: IS,
}  # fmt: skip
STATES = ("null", "not_null", "true", "false")
# As in AllYourBase; and so that neq is the opposite.
NULLS = {"eq": "null", "neq": "not_null"}
# On a table: each may be compared with each row of a slice, and then there are as many answers.
MOST_CONDITIONS = 20
# Of all conditions of a request together.
MOST_VALUES = 1000

# Of a pattern. Postgres compares each place of a text with as much of it, and LIKE ends by itself alone: no timeout and
# no cancellation ends it before.
LONGEST_PATTERN = 100
PATTERNS = ("like", "ilike")

# A backslash makes one of these a part of the value. Before any other character it stands for itself.
_escaped = re.compile(r"\\([,|\\])")
_token = re.compile(r"\\[,|\\]|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition on a column. It holds if the operator does for one of the values.

    operator: one of Postgres', or "is".
    """

    column: str
    operator: str
    values: tuple[str, ...]

    def tests(self) -> Iterator[Test]:
        """Yield what has to be found out about a row. The condition holds if one of them does."""
        return ((self.column, self.operator, value) for value in self.values)


# The conditions on one table, which must all hold. A stream without a filter has none.
Filter = frozenset[Clause]


def parse(texts: Iterable[str], names: Sequence[str]) -> dict[str, Filter]:
    """Read the ``filter`` parameters of a request.

    names: of the stream's tables. A condition is for one of them, ``posts.status=eq.published``, or for each.
    Returns the filter of each table that has one. Raises InvalidParameter.
    """
    clauses: dict[str, set[Clause]] = {}
    for text in texts:
        for condition in dict.fromkeys(_split(text, ",")) if text.strip() else ():
            table, clause = _condition(condition, names)
            for name in names if table is None else [table]:
                clauses.setdefault(name, set()).add(clause)
                # Now, not at the end: all conditions on all tables would take a second.
                if len(clauses[name]) > MOST_CONDITIONS:
                    raise InvalidParameter(f"filter: more than {MOST_CONDITIONS} conditions on a table")
    filters = {name: frozenset(those) for name, those in clauses.items()}
    if values_of(filters) > MOST_VALUES:
        raise InvalidParameter(f"filter: more than {MOST_VALUES} values")
    return filters


def values_of(filters: Mapping[str, Filter]) -> int:
    """Return how many values the filters of tables have."""
    return sum(len(clause.values) for wanted in filters.values() for clause in wanted)


def _condition(text: str, names: Sequence[str]) -> tuple[str | None, Clause]:
    left, is_condition, right = text.partition("=")
    if not is_condition or not left.strip():
        raise InvalidParameter(rf"filter: not column=operator.value: {text!r}. A comma in a value is written \,")
    if "\0" in text:
        raise InvalidParameter("filter: NUL is in no value")
    left = _escaped.sub(r"\1", left.strip())
    table = max((name for name in names if left.startswith(f"{name}.")), key=len, default=None)
    column = left if table is None else left[len(table) + 1 :]
    operator, _, value = right.partition(".")
    if operator not in OPERATORS:
        raise InvalidParameter(f"filter: {left}: unknown operator: {operator}. Operators are {', '.join(OPERATORS)}")
    if value == "null" and operator in NULLS:
        operator, value = IS, NULLS[operator]
    if operator == IS and value not in STATES:
        raise InvalidParameter(f"filter: {left}: is.{value}: after is. comes one of {', '.join(STATES)}")
    if operator in PATTERNS and len(value) > LONGEST_PATTERN:
        raise InvalidParameter(f"filter: {left}: a pattern of more than {LONGEST_PATTERN} characters")
    found = _split(value, "|") if operator == "in" else [value]
    return table, Clause(column, OPERATORS[operator], tuple(dict.fromkeys(_escaped.sub(r"\1", each) for each in found)))


def _split(text: str, separator: str) -> list[str]:
    parts = [""]
    for token in _token.findall(text):
        if token == separator:
            parts.append("")
        else:
            parts[-1] += token
    return parts
