"""Asks Postgres about filters in ever smaller parts where it does not answer. Called by ``filtering``."""

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence

import psycopg

from ayb_realtime.conf import conf
from ayb_realtime.filters import Comparand, Test
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import filter_questions, transactions
from ayb_realtime.visibility.comparisons import Comparison
from ayb_realtime.visibility.failures import NOT_COMPARED, failures
from ayb_realtime.visibility.filter_index import FilterIndex, Truth
from ayb_realtime.visibility.filter_questions import SHARE, Piece, note, pieces, quarantine, seconds_of_attempt
from ayb_realtime.visibility.partwise_check import LEAST_SECONDS
from ayb_realtime.visibility.transactions import Connection
from ayb_realtime.visibility.watchdog import MARK, MessageWatchdog
from ayb_realtime.wire.records import Row

BARRED, NO_TIME = "no answer a moment ago", "no time"


class Asking:
    """Asks and notes the answers: where Postgres gives none in time, about ever fewer identities, values and rows.

    Identities come first: however much one asks for, the others get their answers.
    """

    def __init__(
        self,
        connection: Connection,
        table: Table,
        role: str,
        known: Mapping[Comparand, Comparison],
        truths: Mapping[int, Truth],
        rows: Mapping[int, Row],
    ) -> None:
        self._connection, self._table, self._role = connection, table, role
        self._known = known
        self._truths = truths
        self._rows = rows
        self._ends_at = 0.0  # the attempts
        # What needs not be asked about: it has an answer or got none, or its turn comes later.
        self._done: set[Test] = set()
        self._postponed: set[Test] = set()
        # What got no answer, and why; and the tests and identities which took too long, or failed, just now.
        self._failed: dict[Test, str] = {}
        self._at_fault: set[Test | Identity] = set()

    async def ask(self, index: FilterIndex) -> None:
        """Find out about the filters of an index. Raises psycopg.Error if the connection is lost."""
        relation = self._table.relation
        who = quarantine.partition(relation, index.identities())
        tests = quarantine.partition(relation, [test for piece in self._remaining(index) for test in piece.tests()])
        self._postponed = {*tests.suspected, *tests.barred}
        await self._ask_all(index.only(who.trusted), self._connection)
        if tests.suspected or tests.barred or who.suspected or who.barred:
            # These on a connection that may be lost. Who was too slow before gets one attempt.
            self._postponed = set(tests.barred)
            await self._ask_all(index.only(who.trusted), None)
            self._at_fault.update(await self._ask(index.only(who.suspected), None))
            self._postponed = set()
            self._fail(self._remaining(index), BARRED)
            quarantine.release(relation, [each for each in tests.suspected if each not in self._failed])
            quarantine.release(relation, [each for each in who.suspected if each not in self._at_fault])
        quarantine.add(relation, self._at_fault)
        failures.add(NOT_COMPARED, self._table, self._failed)

    async def _ask_all(self, index: FilterIndex, connection: Connection | None) -> None:
        """Find out about filters, and about each that is too slow or fails as long as there is time."""
        self._ends_at = time.monotonic() + conf.check_timeout_seconds
        for identity in await self._ask(index, connection):
            if asked := self._remaining(index.only([identity])):
                faults = len(self._at_fault)
                await self._narrow(asked, connection)
                if len(self._at_fault) == faults or not self._has_time():
                    self._at_fault.add(identity)

    async def _ask(self, index: FilterIndex, connection: Connection | None) -> list[Identity]:
        """Ask about filters, and about ever fewer identities; return those about which there is no answer."""
        asked, identities = self._remaining(index), index.identities()
        seconds = seconds_of_attempt(len(self._rows))
        if not asked or (self._has_time() and not await self._error(asked, connection, seconds)):
            return []
        if len(identities) == 1 or not self._has_time():
            return identities
        identities.sort(key=index.weight)  # Who asks for little is answered before the time is up.
        half = len(identities) // 2
        parts = [index.only(part) for part in (identities[:half], identities[half:])]
        return [slow for part in parts for slow in await self._ask(part, connection)]

    async def _narrow(self, asked: Sequence[Piece], connection: Connection | None) -> None:
        """Find out about ever fewer values and rows."""
        if not asked:
            return
        if not self._has_time():
            self._fail(asked, NO_TIME)
            return
        error = await self._error(asked, connection, conf.check_timeout_seconds * SHARE)
        if error is None:
            return
        halves = [asked[: len(asked) // 2], asked[len(asked) // 2 :]] if len(asked) > 1 else asked[0].halves()
        if not halves:
            self._fail(asked, f"{asked[0].comparand[0]}: {type(error).__name__}")
            self._at_fault.update(asked[0].tests())
        for part in halves:
            await self._narrow(part, connection)

    def _remaining(self, index: FilterIndex) -> list[Piece]:
        left_out = self._done | self._postponed
        found = pieces(index, self._rows, self._truths)
        return [part for piece in found for part in piece.only([t for t in piece.tests() if t not in left_out])]

    def _has_time(self) -> bool:
        return time.monotonic() < self._ends_at

    async def _error(
        self, asked: Sequence[Piece], connection: Connection | None, seconds: float
    ) -> psycopg.Error | None:
        """Ask in one attempt; return why there is no answer. Without a connection, on one that may be lost.

        Raises psycopg.Error if the connection is lost.
        """
        try:
            if connection is None:
                # What is compared is in the question, so any snapshot will do.
                async with transactions.new_snapshot() as another:
                    replies = await self._replies(asked, another, seconds, 1.25 * seconds)
            else:
                replies = await self._replies(asked, connection, seconds, seconds + LEAST_SECONDS)
        except psycopg.Error as error:
            if connection is not None and connection.closed:
                quarantine.add(self._table.relation, [test for piece in asked for test in piece.tests()])
                raise
            return error
        note(asked, replies, self._truths)
        self._done.update(test for piece in asked for test in piece.tests())
        return None

    async def _replies(
        self, asked: Sequence[Piece], connection: Connection, seconds: float, patience: float
    ) -> list[tuple[int, int, int]]:
        """Ask. patience: after how many seconds to end the session, since an operator may catch its timeout."""
        number = secrets.randbits(31)
        parts = [
            f"select {MARK.format(number)}",
            *filter_questions.statements(connection, asked, self._known, self._role),
        ]
        async with (
            MessageWatchdog(number, patience),
            transactions.time_limit(connection, seconds),
            connection.transaction(),
        ):
            _, replies = await transactions.results(connection, "; ".join(parts))
        return replies

    def _fail(self, asked: Iterable[Piece], reason: str) -> None:
        for piece in asked:
            tests = piece.tests()
            self._done.update(tests)
            self._failed |= dict.fromkeys(tests, reason)
            for position in piece.texts:
                self._truths[position].failed.update(tests)
