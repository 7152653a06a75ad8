"""Narrows a failed check down to the identities and rows to blame, so that the others get their answers. Pure.

``partwise_check`` asks about each part that a plan hands out, and ``outcomes`` tells the plan what came of it.
"""

from collections import deque
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import product
from typing import Generic, TypeVar

from ayb_realtime.visibility.parts import LEAST_SHARE, Part, halved

IdentityT = TypeVar("IdentityT", bound=Hashable)

# How many pairs of identity and row are asked about at once. A pair takes a few microseconds, so that no check comes
# near its timeout for its size alone.
MOST_PAIRS = 100_000
# An identity that fails so often by itself is not asked about its other rows. To find one row takes three failures.
MOST_FAILURES = 6
# A row that was slow for so many identities is asked about last.
MOST_SLOW_IDENTITIES = 3


class Stage(IntEnum):
    """When a part is asked about."""

    TOGETHER = 0  # Identities and rows that have not failed.
    ALONE = 1  # Slow identities, each by itself.
    LAST = 2  # Rows that failed by themselves, for several identities.


# How many times the time for a check may be spent on failures, by stage. What is left then gets no answer.
PATIENCE = {Stage.TOGETHER: 5.0, Stage.ALONE: 2.0, Stage.LAST: 1.5}


class Plan(Generic[IdentityT]):
    """The parts of a check that are still to be asked about.

    unanswered: for each identity the positions of the rows about which there was no answer, and why.
    failed_pairs: identities and rows that failed by themselves, and those that ran out of time in the last stage.
    failed_identities: those that failed by themselves, and those that ran out of time in the stage ALONE.
    ran_out: whether time ran out for identities and rows that had not failed.
    """

    def __init__(self, patience: float = 1.0) -> None:
        self.unanswered: dict[IdentityT, dict[int, str]] = {}
        self.failed_pairs: set[tuple[IdentityT, int]] = set()
        self.failed_identities: set[IdentityT] = set()
        self.ran_out = False
        self._queues: dict[Stage, deque[Part[IdentityT]]] = {stage: deque() for stage in Stage}
        self._time_left = {stage: patience * checks for stage, checks in PATIENCE.items()}
        self._stage = Stage.TOGETHER
        self._slow: set[IdentityT] = set()
        self._bad_rows: set[int] = set()
        self._failures: dict[IdentityT, int] = {}
        self._slow_identities_by_row: dict[int, int] = {}

    def suspect(self, identities: Collection[IdentityT], rows: Collection[int]) -> None:
        """Ask about these apart, after the others, and not as often: they have failed in earlier checks."""
        self._slow.update(identities)
        self._failures.update(dict.fromkeys(identities, MOST_FAILURES - 3))
        self._bad_rows.update(rows)

    def add(self, rows: Sequence[int], identities: Sequence[IdentityT], share: float = 1.0) -> None:
        """Ask these identities about these rows."""
        size = max(1, MOST_PAIRS // max(1, len(rows)))
        for n in range(0, len(identities), size):
            self._put(Stage.TOGETHER, [Part(tuple(rows), tuple(identities[n : n + size]), share)])

    def __iter__(self) -> Iterator[Part[IdentityT]]:
        """Hand out one part after the other, also those that are added meanwhile."""
        for self._stage in Stage:
            while queue := self._queues[self._stage]:
                part = self._set_suspects_apart(queue.popleft())
                if part.rows and part.identities:
                    if self._time_left[self._stage] > 0:
                        yield part
                    else:
                        self._run_out(part)

    def give_up(self, part: Part[IdentityT], reason: str) -> None:
        """Leave a part without an answer."""
        for identity in part.identities:
            self.unanswered.setdefault(identity, {}).update(dict.fromkeys(part.rows, reason))

    def give_up_all(self) -> list[Part[IdentityT]]:
        """Ask no more, and return the parts that were still to be asked about."""
        left = [part for queue in self._queues.values() for part in queue]
        for queue in self._queues.values():
            queue.clear()
        return left

    def failed(self, part: Part[IdentityT], reason: str, share: float) -> None:
        """Ask in smaller parts about a part that failed as a whole.

        share: how much of the time for a check it took to fail.
        """
        self._time_left[self._stage] -= share
        if len(part.identities) > 1:
            self._suspect_row(part)
            self._put(self._stage, part.quarters())
        elif self._stage == Stage.TOGETHER:
            # Perhaps the part was only large.
            self._slow.update(part.identities)
            self._put(Stage.ALONE, part.by_rows(halved(part.share)))
        else:
            self._failed_alone(part, reason)

    def held_up(self, part: Part[IdentityT], slow_identity: IdentityT, share: float) -> None:
        """Ask about a part without the identity that held it up, and later about that. share: as for ``failed``."""
        self._time_left[self._stage] -= share
        others = part.without(slow_identity)
        slow = Part(part.rows, (slow_identity,), LEAST_SHARE)
        if self._stage == Stage.LAST:
            self._queues[Stage.LAST].appendleft(others)
            self._put(Stage.LAST, [slow])
            return
        self._slow.add(slow_identity)
        self._put(Stage.ALONE, [slow])
        # If the row is to blame, it will hold up another identity next.
        if len(part.rows) == 1:
            (row,) = part.rows
            self._slow_identities_by_row[row] = self._slow_identities_by_row.get(row, 0) + 1
        self._suspect_row(part)
        self._put(self._stage, others.by_rows(min(part.share, 0.5)))

    def split_rows(self, part: Part[IdentityT]) -> None:
        """Ask about some of a part's rows at a time."""
        self._put(self._stage, part.by_rows(halved(part.share)))

    def _failed_alone(self, part: Part[IdentityT], reason: str) -> None:
        (identity,) = part.identities
        self._failures[identity] = self._failures.get(identity, 0) + 1
        if len(part.rows) > 1:
            self._put(self._stage, part.by_rows(part.share))
            return
        self.give_up(part, reason)
        self.failed_pairs.update(product(part.identities, part.rows))
        self.failed_identities.add(identity)

    def _run_out(self, part: Part[IdentityT]) -> None:
        self.give_up(part, "out of time")
        if self._stage == Stage.TOGETHER:
            self.ran_out = True
        elif self._stage == Stage.ALONE:
            self.failed_identities.update(part.identities)
        else:
            self.failed_pairs.update(product(part.identities, part.rows))

    def _suspect_row(self, part: Part[IdentityT]) -> None:
        # Not at the first failure, which may be the fault of a few identities.
        (row, *others) = part.rows
        slow_identities = self._slow_identities_by_row.get(row, 0)
        if not others and (part.share <= LEAST_SHARE or slow_identities >= MOST_SLOW_IDENTITIES):
            self._bad_rows.add(row)

    def _put(self, stage: Stage, parts: Iterable[Part[IdentityT]]) -> None:
        self._queues[stage].extend(part for part in parts if part.rows and part.identities)

    def _set_suspects_apart(self, part: Part[IdentityT]) -> Part[IdentityT]:
        """Postpone the rows and identities of a part that have failed since it was planned, and return the others."""
        if self._stage == Stage.LAST:
            return part
        bad = [row for row in part.rows if row in self._bad_rows]
        rows = tuple(row for row in part.rows if row not in self._bad_rows) if bad else part.rows
        identities = part.identities
        if self._stage == Stage.TOGETHER and not self._slow.isdisjoint(identities):
            identities = tuple(each for each in identities if each not in self._slow)
            slow = self._slow.intersection(part.identities)
            self._put(Stage.ALONE, [Part(part.rows, (each,), LEAST_SHARE) for each in slow])
        self._put(Stage.LAST, [Part((row,), identities, halved(part.share)) for row in bad])
        left = Part(rows, identities, part.share)
        if self._stage == Stage.ALONE and self._failures.get(identities[0], 0) >= MOST_FAILURES:
            self.give_up(left, "failed on other rows")
            self.failed_identities.update(identities)
            return Part((), identities, part.share)
        return left
