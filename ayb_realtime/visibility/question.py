"""One check, put to Postgres in parts where it fails as a whole. Called by ``visibility`` alone."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import psycopg

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import RealtimeError
from ayb_realtime.identity import Identity
from ayb_realtime.records import Row
from ayb_realtime.tables import Table
from ayb_realtime.visibility import transactions
from ayb_realtime.visibility.failures import REFUSED, UNANSWERED, failures
from ayb_realtime.visibility.suspects import suspects
from ayb_realtime.visibility.transactions import Connection
from ayb_realtime.visibility.watch import Watch

# Position of a change that the identity may see → the row as it may see it, or None for the row as it was logged.
Seen = Mapping[int, str | None]
# For an identity by its ordinal, from 1: what it sees by the row's ordinal, from 0; and the SQLSTATE of a failure.
Answer = tuple[int, Seen, str | None]

# Pairs of identity and row that are asked about at once. One takes a few microseconds, so that no check comes near its
# timeout for its size alone.
MOST_PAIRS = 100_000
# After so many timeouts spent on finding the culprit, who is left gets no answer: it resumes, and is asked again.
PATIENCE = 5
# A half is given half of the time, but not less than this part of it.
LEAST_PART = 0.25
# A name that the query uses is gone: a migration has renamed it since this snapshot, or a policy is broken.
UNDEFINED = {"42P01", "42703", "42704", "42883"}
# The policies took too long for somebody, or waited for a lock, or had to be stopped from outside.
TOO_LONG = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable, psycopg.errors.AdminShutdown)
# A logged key is no value of the key's type, or of its domain. What a policy raises is taken down for its identity.
UNREADABLE = {"22", "23"}
# The table is not the one that the snapshot knows.
MADE_ANEW = "AYB01"


class CatalogChanged(RealtimeError):
    """A table or column is another one since the transaction's snapshot. Ask again in another one."""


class KeyChanged(RealtimeError):
    """The key has another type since a row was logged, so that the row cannot be found any more."""

    def __init__(self, table: str) -> None:
        super().__init__(f"the key of the table {table} has another type now")


class Stuck(RealtimeError):
    """A policy has caught its timeout and gone on, so that the connection had to be ended. Ask again, with care.

    relation: the table.
    """

    def __init__(self, relation: int) -> None:
        super().__init__(f"a policy of the table {relation} goes on after its timeout")
        self.relation = relation


class Question(ABC):
    """One check, in parts where it fails as a whole: for whom it takes long is seen, other blame is found by halving.

    connection: in a prepared transaction; None to ask with care, each part on a connection of its own.
    insist: whether a name that is gone is the policy's fault.
    seen: what each identity sees; one that is not in it sees nothing.
    unanswered: identities that got no answer in time, and why.
    """

    def __init__(self, connection: Connection | None, table: Table, insist: bool) -> None:
        self.seen: dict[Identity, Seen] = {}
        self.unanswered: dict[Identity, str] = {}
        self._refused: dict[Identity, str] = {}
        self._connection = connection
        self._table = table
        self._insist = insist
        # What is to be asked yet, and how much of the time for a check it is given.
        self._parts: deque[tuple[Mapping[int, Row], Sequence[Identity], float]] = deque()
        self._deadline = asyncio.get_running_loop().time() + PATIENCE * conf.check_timeout_seconds

    async def ask(self, rows: Mapping[int, Row], identities: Sequence[Identity]) -> None:
        """Ask for all at once, then for each half of what failed; last for each of those that failed lately.

        Raises CatalogChanged, if it does not insist; KeyChanged; Stuck, if it does not ask with care; and
        psycopg.OperationalError if the connection is lost.
        """
        if not rows:
            return
        barred, suspected, others = suspects.sort(self._table.relation, identities)
        self.unanswered |= dict.fromkeys(barred, "no answer a moment ago")
        # With care, somebody is known not to let go: it is found sooner if each part is given less time.
        part = 1.0 if self._connection is not None else LEAST_PART
        size = max(1, MOST_PAIRS // len(rows))
        self._parts.extend((rows, others[n : n + size], part) for n in range(0, len(others), size))
        await self._ask_parts()
        self._parts.extend((rows, [identity], LEAST_PART) for identity in suspected)
        await self._ask_parts()
        for identity in suspected:
            if identity not in self.unanswered:
                suspects.clear(self._table.relation, identity)

    async def _ask_parts(self) -> None:
        # The larger ones first: when time runs out, it is few who get no answer.
        while self._parts:
            await self._ask_part(*self._parts.popleft())

    async def _ask_part(self, rows: Mapping[int, Row], identities: Sequence[Identity], part: float) -> None:
        """Ask for these; the halves of what fails have their turn later. part: of the time for a check, how much."""
        identities = [identity for identity in identities if identity not in self.unanswered]
        if not identities:
            return
        began = asyncio.get_running_loop().time()
        if began > self._deadline:
            self.unanswered |= dict.fromkeys(identities, "out of time")
            return
        seconds = conf.check_timeout_seconds * part
        watch = None
        try:
            async with self._connected(seconds) as connection:
                watch = Watch(connection, seconds, alone=len(identities) == 1)
                async with watch:
                    failed = await self._ask(connection, rows, identities)
        except psycopg.Error as error:
            if watch is None:
                raise  # It was not asked: with care, there was no connection to be had.
            culprit = identities[watch.culprit - 1] if watch.culprit is not None else None
            if self._connection is not None and self._connection.closed:
                if not watch.has_fired:
                    raise
                if culprit is not None:
                    suspects.add(self._table.relation, culprit)
                raise Stuck(self._table.relation) from error
            if culprit is not None:
                self._parts.appendleft((rows, [each for each in identities if each != culprit], part))
                self._parts.append((rows, [culprit], LEAST_PART))
            else:
                await self._blame(error, rows, identities, part)
            return
        # An answer is worth its time.
        self._deadline += asyncio.get_running_loop().time() - began
        if failed and len(rows) > 1:
            # A policy that fails on one row says nothing of the others.
            self._halve(rows, failed, part)

    async def _blame(
        self, error: psycopg.Error, rows: Mapping[int, Row], identities: Sequence[Identity], part: float
    ) -> None:
        """Find out for whom, and for which row, a check fails."""
        is_another = error.sqlstate in {MADE_ANEW, *UNDEFINED}
        if is_another and not self._insist:
            raise CatalogChanged from error
        if (error.sqlstate or "")[:2] in UNREADABLE:
            raise KeyChanged(self._table.name) from error
        # To halve identities is of no use against a lock that is on the table.
        is_locked = isinstance(error, psycopg.errors.LockNotAvailable) and await self._is_locked()
        if is_another or is_locked or len(identities) == 1 == len(rows):
            self.unanswered |= dict.fromkeys(identities, type(error).__name__)
            if is_locked:
                self._give_up()
            elif isinstance(error, TOO_LONG):
                suspects.add(self._table.relation, identities[0])
        elif len(identities) > 1:
            half = len(identities) // 2
            self._parts.append((rows, identities[:half], max(part / 2, LEAST_PART)))
            self._parts.append((rows, identities[half:], max(part / 2, LEAST_PART)))
        else:
            self._halve(rows, identities, part)

    def _give_up(self) -> None:
        """Leave what is to be asked yet without an answer."""
        for _, identities, _ in self._parts:
            self.unanswered |= dict.fromkeys(identities, "locked")
        self._parts.clear()

    async def _is_locked(self) -> bool:
        """Tell whether somebody keeps everybody from reading the table."""
        query = (
            "select exists (select from pg_catalog.pg_locks l"
            "                 join pg_catalog.pg_database d on d.oid = l.database and d.datname = current_database()"
            "                where l.relation = %s::oid and l.mode = 'AccessExclusiveLock' and l.granted)"
        )
        async with self._connected(conf.check_timeout_seconds) as connection:
            return (await (await connection.execute(query, [self._table.relation])).fetchone()) == (True,)

    def _halve(self, rows: Mapping[int, Row], identities: Sequence[Identity], part: float) -> None:
        positions = list(rows)
        for half in (positions[: len(positions) // 2], positions[len(positions) // 2 :]):
            self._parts.append(({position: rows[position] for position in half}, identities, part))

    @asynccontextmanager
    async def _connected(self, seconds: float) -> AsyncIterator[Connection]:
        if self._connection is None:
            async with transactions.a_prepared_one() as connection, transactions.within(connection, seconds):
                yield connection
        else:
            async with transactions.within(self._connection, seconds):
                yield self._connection

    async def _ask(
        self, connection: Connection, rows: Mapping[int, Row], identities: Sequence[Identity]
    ) -> list[Identity]:
        """Ask, take down what is seen, and return the identities for which the policies failed."""
        positions = list(rows)
        failed = []
        # Those who have one answer in common have one here, too: many see the same.
        same: dict[int, Seen] = {}
        answers = await self._answers(connection, rows, identities)
        for ordinal, found, error in answers:
            identity = identities[ordinal - 1]
            if error in UNDEFINED and not self._insist:
                raise CatalogChanged
            if error:
                self._refused[identity] = error
                failed.append(identity)
            seen = same.get(id(found))
            if seen is None:
                seen = same[id(found)] = {positions[n]: record for n, record in found.items()}
            before = self.seen.get(identity)
            self.seen[identity] = {**before, **seen} if before else seen
        return failed

    @abstractmethod
    async def _answers(
        self, connection: Connection, rows: Mapping[int, Row], identities: Sequence[Identity]
    ) -> list[Answer]:
        """Put the question, by ``transactions.ask``."""

    def report(self) -> None:
        """Take down who saw nothing of something for a failure, and who got no answer."""
        failures.add(REFUSED, self._table.relation, self._table.name, self._refused)
        failures.add(UNANSWERED, self._table.relation, self._table.name, self.unanswered)


def settings_of(identities: Sequence[Identity]) -> tuple[list[str], list[str]]:
    """Return the names of the settings of all, and for each identity a value for each of the names."""
    names = sorted({name for identity in identities for name, _ in identity.settings})
    values = [dict(identity.settings).get(name, "") for identity in identities for name in names]
    return names, values
