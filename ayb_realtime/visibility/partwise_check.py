"""One check, put to Postgres in parts where it fails as a whole. Called by ``current_rows`` and ``old_rows``."""

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
from ayb_realtime.visibility.answers import Answers, SharedView, Shortlist, merged
from ayb_realtime.visibility.failures import LOCKED_OUT, POLICY_FAILED, UNANSWERED, failures
from ayb_realtime.visibility.locking import is_a_table_locked
from ayb_realtime.visibility.narrowing import Plan
from ayb_realtime.visibility.outcomes import (
    LOCK_NOT_AVAILABLE,
    RECOVERY_CONFLICT,
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

# A part gets at least this long, unless a whole check gets less: the watchdog has to connect within a fraction of it.
LEAST_SECONDS = 0.5


class PartwiseCheck(ABC):
    """One question about some rows of a table, put in parts where it fails as a whole. To be answered once.

    connection: in a configured transaction; None to isolate each part, on a connection of its own.
    undefined_is_failure: as for ``visibility.check``.
    """

    def __init__(self, connection: Connection | None, table: Table, undefined_is_failure: bool) -> None:
        self._connection = connection
        self._table = table
        self._undefined_is_failure = undefined_is_failure
        self._rows: dict[int, Row] = {}
        self._plan = Plan[Identity](quarantine.patience(table.relation))
        # The answers so far, part by part; the identities that were locked out, or for which a policy failed, and why.
        self._views: list[SharedView] = []
        self._locked_out: dict[Identity, str] = {}
        self._policy_errors: dict[Identity, str] = {}

    async def answer(self, shortlists: Iterable[Shortlist]) -> Answers:
        """Ask Postgres which of these rows these identities see.

        Raises CatalogChanged, unless undefined_is_failure; KeyChanged; UncancellablePolicy, unless each part has a
        connection of its own; and psycopg.OperationalError if the connection is lost.
        """
        triage = Triage(self._table)
        for rows, identities in shortlists:
            self._rows.update(rows)
            # Some policy is known to go on after its timeout: with less time for each part, it is found sooner.
            triage.add(self._plan, rows, identities, 1.0 if self._connection is not None else LEAST_SHARE)
        for part in self._plan:
            for locked_out in plan_next(self._plan, part, await self._attempt(part)):
                self._locked_out |= dict.fromkeys(locked_out.identities, "locked")
        triage.record(self._plan, self._rows, self._locked_out)
        self._report()
        unanswered = {identity: rows.keys() for identity, rows in self._plan.unanswered.items() if rows}
        return Answers(merged(self._views), unanswered, self._locked_out.keys(), self._policy_errors)

    async def _attempt(self, part: Part[Identity]) -> Attempt[Identity]:
        """Ask about a part once. Raises what ``answer`` raises."""
        seconds = max(conf.check_timeout_seconds * part.share, min(conf.check_timeout_seconds, LEAST_SECONDS))
        rows = {position: self._rows[position] for position in part.rows}
        clock = asyncio.get_running_loop().time
        began = clock()
        watchdog = None
        try:
            async with self._connected(seconds) as connection:
                watchdog = Watchdog(connection, seconds, alone=len(part.identities) == 1)
                async with watchdog:
                    failed_for = await self._query_part(connection, rows, part.identities)
        except psycopg.Error as error:
            if watchdog is None:
                raise  # It was not asked: to isolate it takes a connection of its own, and there was none.
            share = (clock() - began) / conf.check_timeout_seconds
            ordinal = watchdog.slow_identity
            slow_identity = part.identities[ordinal - 1] if ordinal is not None else None
            outcome = await self._outcome(error, slow_identity, has_fired=watchdog.has_fired)
            return Attempt(outcome, type(error).__name__, share, slow_identity)
        return Attempt(Outcome.ANSWERED, failed_for=failed_for)

    async def _outcome(self, error: psycopg.Error, slow_identity: Identity | None, *, has_fired: bool) -> Outcome:
        """Return how an attempt ended that raised an error. Raises what ends the whole check."""
        relation = self._table.relation
        is_lost = self._connection is not None and self._connection.closed
        failure = Failure(
            error.sqlstate,
            is_table_locked=not is_lost and error.sqlstate == LOCK_NOT_AVAILABLE and await self._is_locked(),
            is_slow_identity_known=slow_identity is not None,
            is_transaction_lost=is_lost,
            is_policy_suspected=is_lost
            and error.sqlstate != RECOVERY_CONFLICT
            and (has_fired or quarantine.add_lost_connection(relation)),
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

    async def _query_part(
        self, connection: Connection, rows: Mapping[int, Row], identities: Sequence[Identity]
    ) -> list[Identity]:
        """Keep what is visible to each identity, and return those for which the policies failed."""
        views, policy_errors = await self._query(connection, rows, identities)
        if not self._undefined_is_failure and not UNDEFINED.isdisjoint(each[:5] for each in policy_errors.values()):
            raise CatalogChanged
        self._policy_errors |= policy_errors
        self._views += views
        return list(policy_errors)

    @abstractmethod
    async def _query(
        self, connection: Connection, rows: Mapping[int, Row], identities: Sequence[Identity]
    ) -> tuple[list[SharedView], dict[Identity, str]]:
        """Send one query; return who sees which of the rows, and for whom the policies failed, as in ``Answers``."""

    def _report(self) -> None:
        """Count and log the identities for which there was a failure, or no answer."""
        unanswered = {
            identity: next(iter(reasons.values())) for identity, reasons in self._plan.unanswered.items() if reasons
        }
        failures.add(POLICY_FAILED, self._table, self._policy_errors)
        failures.add(UNANSWERED, self._table, unanswered)
        failures.add(LOCKED_OUT, self._table, self._locked_out)
