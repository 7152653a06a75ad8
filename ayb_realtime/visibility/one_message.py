"""The usual check in one message to Postgres: a few rows of one table of which everything else is known.

Called by ``planning``. It does what ``check_transaction`` and ``check`` do, but handles no error: whatever is unusual
raises NeedsTransaction, and then these two decide.
"""

import secrets
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import NeedsTransaction
from ayb_realtime.identity import Identity
from ayb_realtime.postgres import sessions
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import catalog_cache, current_rows, roles, shortlist, transactions
from ayb_realtime.visibility.answers import Answers, merged, united
from ayb_realtime.visibility.catalog_cache import TableFacts
from ayb_realtime.visibility.filter_index import FilterIndex, Matches
from ayb_realtime.visibility.filter_questions import FiltersQuestion
from ayb_realtime.visibility.identities import IdentitiesByRole
from ayb_realtime.visibility.locking import begin_locked
from ayb_realtime.visibility.partwise_check import LEAST_SECONDS
from ayb_realtime.visibility.quarantine import quarantine
from ayb_realtime.visibility.shortlist import CURRENT_VALUES, Guess
from ayb_realtime.visibility.transactions import Connection
from ayb_realtime.visibility.watchdog import MARK, MessageWatchdog
from ayb_realtime.wire.records import Row

# What part of the time for a check its one message gets: if it takes longer, a transaction repeats it in parts.
SHARE = 0.2
# A check of more pairs of row and identity takes so long that two messages more do not matter.
MOST_PAIRS = 20_000
# For how long a table's checks are made in transactions after a message has failed.
RESTING_SECONDS = 10.0

# Table (oid) → when a message may be tried again.
_resting: dict[int, float] = {}


@dataclass(frozen=True, slots=True)
class _Question:
    """Who of these identities of one role sees which rows; without row-level security the first is asked for all."""

    role: str
    identities: Mapping[Identity, None]
    call: str
    guess: Guess


@dataclass(frozen=True, slots=True)
class OneMessage:
    """Asks about some rows of one table in one message, on a connection of a pool."""

    pool: AsyncConnectionPool[Any]
    facts: TableFacts
    subject: catalog_cache.Subject
    filters: FiltersQuestion = field(default_factory=FiltersQuestion)

    @classmethod
    def about(cls, pool: AsyncConnectionPool[Any], relation: int, role_names: Iterable[str]) -> "OneMessage | None":
        """Return what asks about a table, or None if its checks need a transaction now."""
        subject = relation, frozenset(role_names)
        facts = catalog_cache.known(subject)
        is_resting = time.monotonic() < _resting.get(relation, 0.0)
        if facts is None or is_resting or not quarantine.is_empty(relation):
            return None
        return cls(pool, facts, subject)

    async def may_select(
        self, table: Table, identities: Iterable[Identity]
    ) -> tuple[IdentitiesByRole, IdentitiesByRole]:
        """Return what ``visibility.may_select`` does."""
        by_role = IdentitiesByRole.of(identities)
        known = self.facts.roles
        if not by_role.by_role.keys() <= known.keys():
            raise NeedsTransaction
        return roles.divided(table, by_role, [known[role].state for role in by_role.by_role])

    async def check(self, table: Table, rows: Mapping[int, Row], identities: Iterable[Identity]) -> Answers:
        """Return what ``visibility.check`` does. Raises NeedsTransaction, and PoolTimeout."""
        by_role = IdentitiesByRole.of(identities)
        questions = list(self._questions(rows, by_role))
        self.filters.ask(self.facts, rows, by_role.filters)
        try:
            async with self.pool.connection() as connection:
                return await self._answers(connection, rows, questions)
        except PoolTimeout:
            raise
        except psycopg.Error as error:
            _resting[table.relation] = time.monotonic() + RESTING_SECONDS
            raise NeedsTransaction from error

    async def check_before(
        self, table: Table, rows: Mapping[int, Row | None], identities: Collection[Identity]
    ) -> Answers:
        """Raise NeedsTransaction."""
        raise NeedsTransaction

    async def matches(self, table: Table, role: str, rows: Mapping[int, Row], index: FilterIndex) -> Matches:
        """Return what ``visibility.matches`` does. Raises NeedsTransaction for rows that are not sent as logged."""
        return self.filters.matches(role, rows, index)

    def _questions(self, rows: Mapping[int, Row], by_role: IdentitiesByRole) -> Iterator[_Question]:
        if len(by_role) * len(rows) > MOST_PAIRS:
            raise NeedsTransaction
        for role, alike in by_role.by_role.items():
            known = self.facts.roles[role]
            if known.check_function is None:
                continue
            if not known.is_check_function_made:
                raise NeedsTransaction
            yield _Question(role, alike, known.check_function, self._guess(role, rows, alike))

    def _guess(self, role: str, rows: Mapping[int, Row], alike: Mapping[Identity, None]) -> Guess:
        if not self.facts.table.row_security:
            return Guess([(rows, [next(iter(alike))])])
        is_derived = role in self.facts.equalities or len(alike) < shortlist.FEW
        guess = shortlist.guess(self.facts.equalities.get(role), role, rows, alike) if is_derived else None
        if guess is None:
            raise NeedsTransaction
        return guess

    async def _answers(
        self, connection: Connection, rows: Mapping[int, Row], questions: Sequence[_Question]
    ) -> Answers:
        ((*_, head, _),), *replies, ((fingerprints,),) = await self._send(connection, rows, questions)
        if conf.hub_reads_standby() and head < max(rows):
            raise NeedsTransaction
        if fingerprints != [self.facts.fingerprint]:
            catalog_cache.forget([self.subject])
            raise NeedsTransaction
        remaining = iter(replies)
        answers = united([self._read(rows, question, remaining) for question in questions])
        self.filters.note(remaining)
        return answers

    async def _send(
        self, connection: Connection, rows: Mapping[int, Row], questions: Sequence[_Question]
    ) -> list[list[Any]]:
        """Send the message; return its replies: of the settings, for each question, and the fingerprints."""
        statements = [each for question in questions for each in self._statements(connection, rows, question)]
        statements += self.filters.statements(connection)
        seconds = max(conf.check_timeout_seconds * SHARE, min(conf.check_timeout_seconds, LEAST_SECONDS))
        number = secrets.randbits(31)
        begin = begin_locked(connection, self.facts.lockable, wait=False)
        setting = f"{await transactions.setting_of_check(connection, seconds)}, {MARK.format(number)}"
        fingerprint = _filled(connection, catalog_cache.fingerprints(1), [self.facts.deciders])
        with catalog_cache.discarding_old_plans(connection) as discard:
            parts = [
                begin + setting,
                *discard,
                "savepoint checked",
                *statements,
                transactions.UNDO,
                "commit",
                sessions.begin(connection) + fingerprint,
                "commit",
            ]
            async with MessageWatchdog(number, seconds * (1 + len(statements))):
                return await transactions.results(connection, "; ".join(parts))

    def _statements(self, connection: Connection, rows: Mapping[int, Row], question: _Question) -> Iterator[str]:
        table, guess = self.facts.table, question.guess
        if guess.columns:
            values = shortlist.current_values_of(table, guess.columns, rows)
            yield _filled(connection, CURRENT_VALUES, values)
        for asked, identities in guess.shortlists:
            parameters = current_rows.parameters(table, asked, identities)
            yield _filled(connection, current_rows.STATEMENT.format(question.call), parameters)

    def _read(self, rows: Mapping[int, Row], question: _Question, replies: Iterator[list[Any]]) -> Answers:
        """Return the answers to a question. Raises NeedsTransaction if it was put to others than those to ask."""
        if question.guess.columns:
            positions = list(rows)
            if any(texts not in (None, question.guess.values[positions[n - 1]]) for n, texts in next(replies)):
                raise NeedsTransaction
        views = []
        for asked, identities in question.guess.shortlists:
            seen, policy_errors = current_rows.read_views(next(replies), list(asked), identities)
            if policy_errors:
                _resting[self.facts.table.relation] = time.monotonic() + RESTING_SECONDS
                raise NeedsTransaction
            views += seen
        answers = Answers(merged(views))
        return answers if self.facts.table.row_security else answers.for_all(question.identities)


def _filled(connection: Connection, statement: str, parameters: Sequence[object]) -> str:
    return psycopg.AsyncClientCursor(connection).mogrify(statement, parameters)
