"""What the writers' own records say: which versions committed, in which order, and who could see them when. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.history import ALL, MAYBE, TEAM, Transaction, Write

RowKey = tuple[str, int]


class ContradictoryHistory(Exception):
    """The writers' records contradict each other. The harness is wrong, or Postgres lost or invented a commit."""


@dataclass(frozen=True, slots=True)
class Change:
    """The final state of a row in a transaction: what a subscriber is sent, at most once.

    version, token, audience: of that state.
    written: just before the last statement that wrote it was sent.
    started, finished: of the transaction's COMMIT.
    """

    row: RowKey
    version: int
    token: str
    action: str
    audience: str
    written: float
    started: float
    finished: float


@dataclass(frozen=True, slots=True)
class Period:
    """A membership, from one time to another. ``certain`` leaves out the time during a COMMIT."""

    possible: tuple[float, float]
    certain: tuple[float, float]


class Truth:
    """The committed history.

    rows: each row's changes, in the order of its versions.
    tokens: the change with each token; None for a version that its own transaction overwrote.
    """

    def __init__(self, transactions: Iterable[Transaction], members: Iterable[tuple[int, str]] = ()) -> None:
        """members: the teams' users before the first transaction."""
        self.rows: dict[RowKey, list[Change]] = {}
        self.tokens: dict[str, Change | None] = {}
        self.periods: dict[tuple[int, str], list[Period]] = {}
        ordered = sorted(transactions, key=lambda transaction: transaction.started)
        for transaction in ordered:
            self._add_writes(transaction)
        for row, changes in self.rows.items():
            changes.sort(key=lambda change: change.version)
            _require_distinct_versions(row, changes)
        self._add_periods(ordered, members)

    def _add_writes(self, transaction: Transaction) -> None:
        by_row: dict[RowKey, list[Write]] = {}
        for write in transaction.writes:
            by_row.setdefault((write.table, write.pk), []).append(write)
            self.tokens[write.token] = None
        for row, writes in by_row.items():
            writes.sort(key=lambda write: write.version)
            change = _final_change(row, writes, transaction)
            if change is not None:
                self.rows.setdefault(row, []).append(change)
                self.tokens[change.token] = change

    def _add_periods(self, transactions: list[Transaction], members: Iterable[tuple[int, str]]) -> None:
        for member in members:
            self.periods[member] = [Period((-math.inf, math.inf), (-math.inf, math.inf))]
        for transaction in transactions:
            for membership in transaction.memberships:
                periods = self.periods.setdefault((membership.team, membership.user), [])
                if membership.granted:
                    periods.append(Period((transaction.started, math.inf), (transaction.finished, math.inf)))
                elif periods:
                    last = periods.pop()
                    possible, certain = last.possible[0], last.certain[0]
                    periods.append(Period((possible, transaction.finished), (certain, transaction.started)))

    def could_see(self, user: str, audience: str, since: float, until: float) -> bool:
        """Tell whether the audience may have included the user at any time between these two."""
        if not audience.startswith(TEAM):
            return audience in (ALL, user, f"{MAYBE}{user}")
        periods = self.periods.get((int(audience.removeprefix(TEAM)), user), ())
        return any(period.possible[0] <= until and period.possible[1] >= since for period in periods)

    def sees_until(self, user: str, audience: str, since: float) -> float:
        """Return until when the audience certainly includes the user from ``since`` on; minus infinity: never."""
        if not audience.startswith(TEAM):
            return math.inf if audience in (ALL, user) else -math.inf
        periods = self.periods.get((int(audience.removeprefix(TEAM)), user), ())
        return max((p.certain[1] for p in periods if p.certain[0] <= since <= p.certain[1]), default=-math.inf)


def _final_change(row: RowKey, writes: list[Write], transaction: Transaction) -> Change | None:
    existed, exists = writes[0].action != "create", writes[-1].action != "delete"
    if not existed and not exists:
        return None
    action = ("update" if existed else "create") if exists else "delete"
    last = writes[-1]
    times = last.at, transaction.started, transaction.finished
    return Change(row, last.version, last.token, action, last.audience, *times)


def _require_distinct_versions(row: RowKey, changes: list[Change]) -> None:
    for earlier, later in pairwise(changes):
        if earlier.version == later.version:
            raise ContradictoryHistory(f"{row} has version {later.version} twice: {earlier.token} and {later.token}")
