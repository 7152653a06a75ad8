"""One check, put to Postgres in parts where it fails as a whole. Called by ``visibility`` alone."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import psycopg

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import CatalogChanged, KeyChanged, UncancellablePolicy
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import transactions
from ayb_realtime.visibility.failures import POSTPONED, REFUSED, UNANSWERED, failures
from ayb_realtime.visibility.locking import is_a_table_locked
from ayb_realtime.visibility.narrowing import Plan
from ayb_realtime.visibility.outcomes import (
    LOCK_NOT_AVAILABLE,
    UNDEFINED,
    Attempt,
    Failure,
    Outcome,
    classify,
    plan_next,
)
from ayb_realtime.visibility.parts import LEAST_SHARE, Part
from ayb_realtime.visibility.quarantine import quarantine
from ayb_realtime.visibility.transactions import Connection
from ayb_realtime.visibility.triage import Triage
from ayb_realtime.visibility.watchdog import Watchdog
from ayb_realtime.wire.records import Row

# Position of a change that the identity may see → the row as it may see it, or None for the row as it was logged.
Seen = Mapping[int, str | None]
# For an identity by its ordinal, from 1: what it sees by the row's ordinal, from 0; and the SQLSTATE of a failure.
Answer = tuple[int, Seen, str | None]

# A part gets at least this long, unless a whole check gets less: the watchdog has to connect within a fraction of it.
LEAST_SECONDS = 0.5


class Question(ABC):
    """One check, in parts where it fails as a whole, as a plan has it.

    connection: in a prepared transaction; None to ask with care, each part on a connection of its own.
    undefined_is_failure: whether a name that is not there is the policy's failure, rather than a new table or column.
    seen: what each identity sees; one that is not in it sees nothing.
    unanswered: for each identity the positions of the rows about which there was no answer, and why.
    postponed: identities that are to be asked again later, since a table is locked, and why.
    """

    def __init__(self, connection: Connection | None, table: Table, undefined_is_failure: bool) -> None:
        self.seen: dict[Identity, Seen] = {}
        self.postponed: dict[Identity, str] = {}
        self.refused: dict[Identity, str] = {}
        self._connection = connection
        self._table = table
        self._undefined_is_failure = undefined_is_failure
        self._rows: dict[int, Row] = {}
        self._plan = Plan[Identity](quarantine.patience(table.relation))
        self.unanswered = self._plan.unanswered

    async def ask(self, parts: Iterable[tuple[Mapping[int, Row], Sequence[Identity]]]) -> None:
        """Ask which of these rows these identities see, part by part. To be called once.

        Raises CatalogChanged, unless undefined_is_failure; KeyChanged; UncancellablePolicy, unless each part has a
        connection of its own; and psycopg.OperationalError if the connection is lost.
        """
        triage = Triage(self._table)
        for rows, identities in parts:
            self._rows.update(rows)
            # With care, somebody is known not to let go: it is found sooner if each part is given less time.
            triage.add(self._plan, rows, identities, 1.0 if self._connection is not None else LEAST_SHARE)
        for part in self._plan:
            await self._ask_part(part)
        triage.record(self._plan, self._rows, self.postponed)

    async def _ask_part(self, part: Part[Identity]) -> None:
        attempt = await self._attempt(part)
        for postponed in plan_next(self._plan, part, attempt):
            self.postponed |= dict.fromkeys(postponed.identities, "locked")

    async def _attempt(self, part: Part[Identity]) -> Attempt[Identity]:
        """Ask about a part once. Raises what ``ask`` raises."""
        seconds = max(conf.check_timeout_seconds * part.share, min(conf.check_timeout_seconds, LEAST_SECONDS))
        rows = {position: self._rows[position] for position in part.rows}
        clock = asyncio.get_running_loop().time
        began = clock()
        watchdog = None
        try:
            async with self._connected(seconds) as connection:
                watchdog = Watchdog(connection, seconds, alone=len(part.identities) == 1)
                async with watchdog:
                    refused = await self._ask(connection, rows, part.identities)
        except psycopg.Error as error:
            if watchdog is None:
                raise  # It was not asked: to isolate it takes a connection of its own, and there was none.
            share = (clock() - began) / conf.check_timeout_seconds
            ordinal = watchdog.slow_identity
            slow_identity = part.identities[ordinal - 1] if ordinal is not None else None
            outcome = await self._outcome(error, slow_identity, has_fired=watchdog.has_fired)
            return Attempt(outcome, type(error).__name__, share, slow_identity)
        return Attempt(Outcome.ANSWERED, refused=refused)

    async def _outcome(self, error: psycopg.Error, slow_identity: Identity | None, *, has_fired: bool) -> Outcome:
        """Return how an attempt ended that raised an error. Raises what ends the whole check."""
        relation = self._table.relation
        is_lost = self._connection is not None and self._connection.closed
        failure = Failure(
            error.sqlstate,
            is_table_locked=not is_lost and error.sqlstate == LOCK_NOT_AVAILABLE and await self._is_locked(),
            is_slow_identity_known=slow_identity is not None,
            is_transaction_lost=is_lost,
            is_policy_suspected=is_lost and (has_fired or quarantine.add_lost_connection(relation)),
        )
        match outcome := classify(failure, undefined_is_failure=self._undefined_is_failure):
            case Outcome.CONNECTION_LOST:
                raise error
            case Outcome.UNCANCELLABLE:
                if slow_identity is not None:
                    quarantine.add(relation, [slow_identity])
                raise UncancellablePolicy(relation) from error
            case Outcome.CATALOG_CHANGED:
                raise CatalogChanged from error
            case Outcome.KEY_CHANGED:
                raise KeyChanged(self._table.name) from error
        return outcome

    async def _is_locked(self) -> bool:
        async with self._connected(conf.check_timeout_seconds) as connection:
            return await is_a_table_locked(connection)

    @asynccontextmanager
    async def _connected(self, seconds: float) -> AsyncIterator[Connection]:
        if self._connection is None:
            async with transactions.new_snapshot() as connection, transactions.time_limit(connection, seconds):
                yield connection
        else:
            async with transactions.time_limit(self._connection, seconds):
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
            if error in UNDEFINED and not self._undefined_is_failure:
                raise CatalogChanged
            if error:
                self.refused[identity] = error
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
        """Put the question, by ``transactions.query``."""

    def report(self) -> None:
        """Take down who saw nothing of something for a failure, and who got no answer."""
        unanswered = {
            identity: next(iter(reasons.values())) for identity, reasons in self.unanswered.items() if reasons
        }
        failures.add(REFUSED, self._table.relation, self._table.name, self.refused)
        failures.add(UNANSWERED, self._table.relation, self._table.name, unanswered)
        failures.add(POSTPONED, self._table.relation, self._table.name, self.postponed)


def settings_of(identities: Sequence[Identity]) -> tuple[list[str], list[str]]:
    """Return the names of the settings of all, and for each identity a value for each of the names."""
    names = sorted({name for identity in identities for name, _ in identity.settings})
    values = [dict(identity.settings).get(name, "") for identity in identities for name in names]
    return names, values
