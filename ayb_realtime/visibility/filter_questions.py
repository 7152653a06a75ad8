"""What Postgres is asked about filters and rows, and what it answers. Called by ``filtering`` and ``one_message``."""

import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import NeedsTransaction
from ayb_realtime.filters import Comparand, Test
from ayb_realtime.postgres import sessions
from ayb_realtime.visibility.catalog_cache import TableFacts
from ayb_realtime.visibility.comparisons import Comparison
from ayb_realtime.visibility.filter_index import FilterIndex, Matches, Truth
from ayb_realtime.visibility.quarantine import Quarantine
from ayb_realtime.visibility.transactions import Connection
from ayb_realtime.wire.records import Row

# The operators of patterns, and the longest JSON text of a value that is compared with one: nothing can end that.
LIKE, LONGEST_LIKE_TEXT = {"~~", "~~*"}, 1024 * 1024

# The values, with their columns and operators, that got no answer lately, and identities whose filters took too long.
quarantine = Quarantine()

# What part of the time for a check an attempt gets, if it is about so many rows; about fewer it gets less, but at least
# so many seconds, and about more no more.
SHARE, SHARE_ROWS, LEAST_SECONDS = 1 / 8, 50, 0.1


def seconds_of_attempt(rows: int) -> float:
    """Return how long Postgres may take to compare so many rows with the filters of all streams."""
    longest = conf.check_timeout_seconds * SHARE
    return min(longest, max(LEAST_SECONDS, longest * rows / SHARE_ROWS))


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a question: a column, an operator and some values, and the texts of some rows, by position."""

    comparand: Comparand
    values: Sequence[str]
    texts: Mapping[int, str | None]

    def query(self, place: int, comparison: Comparison) -> sql.Composable:
        """Return what Postgres is asked."""
        return comparison.pairs(place, list(self.texts.values()), self.values)

    def tests(self) -> list[Test]:
        """Return what is asked about each row."""
        return [(*self.comparand, value) for value in self.values]

    def only(self, tests: Collection[Test]) -> "list[Piece]":
        """Return the piece with only these of its tests, unless there are none."""
        values = [value for *_, value in tests]
        return [Piece(self.comparand, values, self.texts)] if values else []

    def halves(self) -> "list[list[Piece]]":
        """Cut the values in half, or the rows if there is one value; return nothing if there is one of both."""
        if len(self.values) > 1:
            half = len(self.values) // 2
            return [[Piece(self.comparand, each, self.texts)] for each in (self.values[:half], self.values[half:])]
        half, rows = len(self.texts) // 2, list(self.texts.items())
        return [[Piece(self.comparand, self.values, dict(each))] for each in (rows[:half], rows[half:]) if half]


def pieces(index: FilterIndex, rows: Mapping[int, Row], truths: Mapping[int, Truth]) -> list[Piece]:
    """Return what to ask Postgres about these rows.

    Where a row lacks a column, or its text is too long for LIKE, that is noted as without an answer.
    """
    asked = []
    for (column, operator), values in index.values.items():
        longest = LONGEST_LIKE_TEXT if operator in LIKE else sys.maxsize
        known = {at: row.columns[column] for at, row in rows.items() if column in row.columns}
        texts = {at: _text(value) for at, value in known.items() if len(value) <= longest}
        for position in rows.keys() - texts.keys():
            truths[position].failed.update((column, operator, value) for value in values)
        # Null is not compared with anything.
        if found := {at: text for at, text in texts.items() if text is not None}:
            asked.append(Piece((column, operator), values, found))
    return asked


def statements(
    connection: Connection, asked: Sequence[Piece], known: Mapping[Comparand, Comparison], role: str
) -> list[str]:
    """Return the statements of a question: those that act as the role, the query, and those that end that.

    A check plans without hash joins, by which many rows are compared with many values.
    """
    queries = [piece.query(place, known[piece.comparand]) for place, piece in enumerate(asked)]
    query = sql.SQL(" union all ").join(queries).as_string(connection)
    act = sql.SQL("set local role {}").format(sql.Identifier(role)).as_string(connection)
    end = sessions.own_role(connection)
    return [act, "set local enable_hashjoin = on", query, end, "set local enable_hashjoin = off"]


def note(asked: Sequence[Piece], replies: Iterable[tuple[int, int, int]], truths: Mapping[int, Truth]) -> None:
    """Note the answers to a question."""
    positions = [list(piece.texts) for piece in asked]
    for place, row, value in replies:
        piece = asked[place]
        truths[positions[place][row - 1]].holds.add((*piece.comparand, piece.values[value - 1]))


def _text(value: str) -> str | None:
    """Return a JSON value as its type reads it; None for null."""
    if value.startswith('"'):
        return str(json.loads(value))
    return None if value == "null" else value


class FiltersQuestion:
    """What a message asks about filters and rows as they were logged, of one table."""

    def __init__(self) -> None:
        self._rows: Mapping[int, Row] = {}
        # By role: what is known of each row, what is asked, and how to compare.
        self._asked: dict[str, tuple[dict[int, Truth], list[Piece], Mapping[Comparand, Comparison]]] = {}

    def ask(self, facts: TableFacts, rows: Mapping[int, Row], filters: Mapping[str, FilterIndex]) -> None:
        """Ask about these. Raises NeedsTransaction if more has to be known, or something got no answer lately."""
        self._rows = rows
        if filters and not quarantine.is_empty(facts.table.relation):
            raise NeedsTransaction
        for role, index in filters.items():
            known = facts.comparisons.get(role, {})
            if not all(each in known and known[each].operator for each in index.comparands()):
                raise NeedsTransaction
            truths = {position: index.truth(row.columns) for position, row in rows.items()}
            self._asked[role] = truths, pieces(index, rows, truths), known

    def statements(self, connection: Connection) -> list[str]:
        """Return what to send."""
        limit = f"set local statement_timeout = {seconds_of_attempt(len(self._rows)) * 1000:.0f}"
        return [
            statement
            for role, (_, asked, known) in self._asked.items()
            if asked
            for statement in (limit, *statements(connection, asked, known, role))
        ]

    def note(self, replies: Iterator[list[tuple[int, int, int]]]) -> None:
        """Note the answers."""
        for truths, asked, _ in self._asked.values():
            if asked:
                note(asked, next(replies), truths)

    def matches(self, role: str, rows: Mapping[int, Row], index: FilterIndex) -> Matches:
        """Return which of these rows match. Raises NeedsTransaction if one is not as it was logged."""
        if not all(index.is_same(row.columns, self._rows[position].columns) for position, row in rows.items()):
            raise NeedsTransaction
        truths, *_ = self._asked[role]
        return index.matches({position: truths[position] for position in rows})
