"""Asks Postgres which rows match which filters of streams. Called by ``planning``, ``one_message`` and ``selection``.

Postgres compares the text that a client is sent, not the row in the table: so what matches is what is sent, and nothing
is read that the client may not read. It does so under the role of the streams, since a type's operators may be a
user's functions. Each column and operator is asked about once, with all rows and all values.
"""

import secrets
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

import psycopg

from ayb_realtime.conf import conf
from ayb_realtime.filters import Comparand, Test
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import transactions
from ayb_realtime.visibility.comparisons import COMPARISONS, Comparison
from ayb_realtime.visibility.failures import NOT_COMPARED, failures
from ayb_realtime.visibility.filter_index import FilterIndex, Matches, Truth
from ayb_realtime.visibility.filter_questions import Piece, note, pieces, quarantine, statements
from ayb_realtime.visibility.partwise_check import LEAST_SECONDS
from ayb_realtime.visibility.transactions import Connection
from ayb_realtime.visibility.watchdog import MARK, MessageWatchdog
from ayb_realtime.wire.records import Row

# What part of the time for a check an attempt gets. All attempts that fail get the whole of it.
SHARE = 1 / 8


async def matches(
    connection: Connection, table: Table, role: str, rows: Mapping[int, Row], index: FilterIndex
) -> Matches:
    """Return which of these rows match which filters.

    connection: in a ``check_transaction``, or a ``snapshot``.
    rows: by position, as those with the role are sent them.
    Raises psycopg.Error if the connection is lost.
    """
    known = await comparisons(connection, table.relation, role, index.comparands())
    index, refused = index.without({each for each in index.comparands() if not known[each].operator})
    truths = {position: index.truth(row.columns) for position, row in rows.items()}
    await _Asking(connection, table, role, known, truths).ask(pieces(index, rows, truths))
    found = index.matches(truths)
    return Matches(found.matched, found.failed, refused)


async def comparisons(
    connection: Connection, relation: int, role: str, comparands: Collection[Comparand]
) -> Mapping[Comparand, Comparison]:
    """Return how these columns are compared, from the facts about the table if they are kept."""
    known = transactions.state(connection).comparisons.setdefault(relation, {}).setdefault(role, {})
    if missing := [comparand for comparand in comparands if comparand not in known]:
        names, signs = [name for name, _ in missing], [sign for _, sign in missing]
        cursor = await connection.execute(COMPARISONS, [names, signs, relation, role])
        known |= zip(missing, [Comparison.of(row) for row in await cursor.fetchall()], strict=True)
    return known


class _Asking:
    """Asks, in ever smaller pieces where Postgres does not answer, and notes the answers."""

    def __init__(
        self,
        connection: Connection,
        table: Table,
        role: str,
        known: Mapping[Comparand, Comparison],
        truths: Mapping[int, Truth],
    ) -> None:
        self._connection, self._table, self._role = connection, table, role
        self._known = known
        self._truths = truths
        self._seconds = conf.check_timeout_seconds * SHARE
        self._ends_at = time.monotonic() + conf.check_timeout_seconds
        # What got no answer, and why; and what of that Postgres failed to compare just now.
        self._failed: dict[Test, str] = {}
        self._at_fault: set[Test] = set()

    async def ask(self, asked: Sequence[Piece]) -> None:
        """Find out about these. Raises psycopg.Error if the connection is lost."""
        found = [(piece, quarantine.partition(self._table.relation, piece.tests())) for piece in asked]
        trusted = [part for piece, divided in found for part in piece.only(divided.trusted)]
        barred = [part for piece, divided in found for part in piece.only(divided.barred)]
        suspected = [part for piece, divided in found for part in piece.only(divided.suspected)]
        self._fail(barred, "no answer a moment ago")
        async with transactions.time_limit(self._connection, self._seconds):
            await self._ask(trusted, self._connection)
        self._ends_at = time.monotonic() + conf.check_timeout_seconds
        await self._ask(suspected, None)
        retried = [test for each in suspected for test in each.tests()]
        quarantine.release(self._table.relation, [test for test in retried if test not in self._failed])
        quarantine.add(self._table.relation, self._at_fault)
        failures.add(NOT_COMPARED, self._table, self._failed)

    async def _ask(self, asked: Sequence[Piece], connection: Connection | None) -> None:
        """Find out about these; without a connection, on one that may be lost."""
        if not asked:
            return
        if time.monotonic() > self._ends_at:
            self._fail(asked, "no time")
            return
        patience = self._seconds + LEAST_SECONDS
        try:
            replies = await (
                self._replies(asked, connection, patience) if connection else self._isolated_replies(asked)
            )
        except psycopg.Error as error:
            if connection is not None and connection.closed:
                quarantine.add(self._table.relation, [test for piece in asked for test in piece.tests()])
                raise
            halves = [asked[: len(asked) // 2], asked[len(asked) // 2 :]] if len(asked) > 1 else asked[0].halves()
            if not halves:
                self._fail(asked, f"{asked[0].comparand[0]}: {type(error).__name__}")
                self._at_fault.update(asked[0].tests())
            for part in halves:
                await self._ask(part, connection)
        else:
            note(asked, replies, self._truths)

    async def _isolated_replies(self, asked: Sequence[Piece]) -> list[tuple[int, int, int]]:
        # What is compared is in the question, so any snapshot will do.
        async with transactions.new_snapshot() as connection, transactions.time_limit(connection, self._seconds):
            return await self._replies(asked, connection, 1.25 * self._seconds)

    async def _replies(
        self, asked: Sequence[Piece], connection: Connection, patience: float
    ) -> list[tuple[int, int, int]]:
        """Ask. patience: after how many seconds to end the session, since an operator may catch its timeout."""
        number = secrets.randbits(31)
        parts = [f"select {MARK.format(number)}", *statements(connection, asked, self._known, self._role)]
        with MessageWatchdog(number, patience):
            async with connection.transaction():
                _, replies = await transactions.results(connection, "; ".join(parts))
        return replies

    def _fail(self, asked: Iterable[Piece], reason: str) -> None:
        for piece in asked:
            tests = piece.tests()
            self._failed |= dict.fromkeys(tests, reason)
            for position in piece.texts:
                self._truths[position].failed.update(tests)
