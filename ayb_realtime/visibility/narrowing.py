"""What to ask next, where a check fails as a whole: who and which row is to blame, and the others do not wait. Pure.

``question`` asks for each part that a plan hands out, and tells the plan what came of it.
"""

from collections import deque
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import product
from math import isqrt
from typing import Generic, TypeVar

Who = TypeVar("Who", bound=Hashable)
Thing = TypeVar("Thing")

# Pairs of identity and row that are asked about at once. One takes a few microseconds, so that no check comes near its
# timeout for its size alone.
MOST_PAIRS = 100_000
# A part of what failed is given half of the time, but not less than this share of that for a check.
LEAST_SHARE = 0.25
# Who has failed so often by themselves is not asked about the rest. To find one row takes three failures.
MOST_FAILURES = 6
# So few are asked about one by one.
FEW_ROWS = 25
# A row on which it took long for so many is asked about last.
MOST_CULPRITS = 3


class Stage(IntEnum):
    """When a part is asked about."""

    JOINTLY = 0  # Whom and what nothing is held against.
    ALONE = 1  # An identity for which it took long, by itself.
    LAST = 2  # So few are asked about one by one.


FEW_ROWS = 25
# A row on which it took long.


# How many times the time for a check may be spent on failures, by stage. What is left then gets no answer.
PATIENCE = {Stage.JOINTLY: 5.0, Stage.ALONE: 2.0, Stage.LAST: 1.5}


@dataclass(frozen=True, slots=True)
class Part(Generic[Who]):
    """Some rows, by their positions, and whom to ask about them; and what share of the time for a check it is given."""

    rows: tuple[int, ...]
    identities: tuple[Who, ...]
    share: float

    @property
    def is_pair(self) -> bool:
        """Whether it is one row and one identity."""
        return len(self.rows) == 1 == len(self.identities)


class Plan(Generic[Who]):
    """The parts of a check that are to be asked about yet.

    unanswered: for each identity the positions of the rows about which there was no answer, and why.
    blamed: the pairs that failed by themselves, for a second time; and those of a row that had no turn after such.
    culprits: the identities that failed by themselves, and those that had no turn after such.
    has_run_out: whether some had no turn of whom nothing was known.
    """

    def __init__(self, patience: float = 1.0) -> None:
        self.unanswered: dict[Who, dict[int, str]] = {}
        self.blamed: set[tuple[Who, int]] = set()
        self.culprits: set[Who] = set()
        self.has_run_out = False
        self._queues: dict[Stage, deque[Part[Who]]] = {stage: deque() for stage in Stage}
        self._left = {stage: patience * checks for stage, checks in PATIENCE.items()}
        self._stage = Stage.JOINTLY
        self._slow: set[Who] = set()
        self._bad_rows: set[int] = set()
        self._failures: dict[Who, int] = {}
        self._culprits: dict[int, int] = {}

    def suspect(self, identities: Collection[Who], rows: Collection[int]) -> None:
        """Ask about these by themselves, after the others; who has failed before is not given many attempts."""
        self._slow.update(identities)
        self._failures.update(dict.fromkeys(identities, MOST_FAILURES - 3))
        self._bad_rows.update(rows)

    def add(self, rows: Sequence[int], identities: Sequence[Who], share: float = 1.0) -> None:
        """Ask about these rows."""
        size = max(1, MOST_PAIRS // max(1, len(rows)))
        for n in range(0, len(identities), size):
            self._put(Stage.JOINTLY, rows, identities[n : n + size], share)

    def __iter__(self) -> Iterator[Part[Who]]:
        """Hand out one part after the other, until there is none."""
        for self._stage in Stage:
            while queue := self._queues[self._stage]:
                part = self._sort_out(queue.popleft())
                if part.rows and part.identities:
                    if self._left[self._stage] > 0:
                        yield part
                    else:
                        self._run_out(part)

    def give_up(self, part: Part[Who], reason: str) -> None:
        """Leave a part without an answer."""
        for identity in part.identities:
            self.unanswered.setdefault(identity, {}).update(dict.fromkeys(part.rows, reason))

    def give_up_all(self) -> list[Part[Who]]:
        """Ask no more, and return what was to be asked yet."""
        left = [part for queue in self._queues.values() for part in queue]
        for queue in self._queues.values():
            queue.clear()
        return left

    def failed(self, part: Part[Who], reason: str, share: float, culprit: Who | None = None) -> None:
        """Ask in smaller parts about one that failed.

        share: of the time for a check, how much it took to fail.
        culprit: the identity for which it took so long, if that is known.
        """
        self._left[self._stage] -= share
        if culprit is not None:
            self._part_with(part, culprit)
        elif len(part.identities) > 1:
            self._halve(part)
        elif self._stage == Stage.JOINTLY:
            # There is no other. Perhaps it was only much.
            self._slow.update(part.identities)
            self._split_rows(Stage.ALONE, part, _smaller(part.share))
        else:
            self._failed_alone(part, reason)

    def split_rows(self, part: Part[Who]) -> None:
        """Ask about some of its rows at a time."""
        self._split_rows(self._stage, part, _smaller(part.share))

    def _split_rows(self, stage: Stage, part: Part[Who], share: float) -> None:
        # Of n rows, the one that is to blame is found in two steps of √n.
        size = isqrt(len(part.rows)) if len(part.rows) > FEW_ROWS else 1
        for n in range(0, len(part.rows), size):
            self._put(stage, part.rows[n : n + size], part.identities, share)

    def _failed_alone(self, part: Part[Who], reason: str) -> None:
        (identity,) = part.identities
        self._failures[identity] = self._failures.get(identity, 0) + 1
        if len(part.rows) > 1:
            self._split_rows(self._stage, part, part.share)
            return
        self.give_up(part, reason)
        self.blamed.update(product(part.identities, part.rows))
        self.culprits.add(identity)

    def _run_out(self, part: Part[Who]) -> None:
        self.give_up(part, "out of time")
        if self._stage == Stage.JOINTLY:
            self.has_run_out = True
        elif self._stage == Stage.ALONE:
            self.culprits.update(part.identities)
        else:
            self.blamed.update(product(part.identities, part.rows))

    def _part_with(self, part: Part[Who], culprit: Who) -> None:
        others = tuple(each for each in part.identities if each != culprit)
        if self._stage == Stage.LAST:
            # The others first. It is asked about once more.
            self._queues[Stage.LAST].appendleft(Part(part.rows, others, part.share))
            self._put(Stage.LAST, part.rows, [culprit], LEAST_SHARE)
            return
        self._slow.add(culprit)
        self._put(Stage.ALONE, part.rows, [culprit], LEAST_SHARE)
        # If it is a row's fault, it will be somebody else next.
        if len(part.rows) == 1:
            self._culprits[part.rows[0]] = self._culprits.get(part.rows[0], 0) + 1
        self._suspect_row(part)
        self._split_rows(self._stage, Part(part.rows, others, part.share), min(part.share, 0.5))

    def _halve(self, part: Part[Who]) -> None:
        self._suspect_row(part)
        for rows, identities in product(_halves(part.rows), _halves(part.identities)):
            self._put(self._stage, rows, identities, _smaller(part.share))

    def _suspect_row(self, part: Part[Who]) -> None:
        # Not at once: it may be a few identities' fault.
        (row, *others) = part.rows
        if not others and (part.share <= LEAST_SHARE or self._culprits.get(row, 0) >= MOST_CULPRITS):
            self._bad_rows.add(row)

    def _put(self, stage: Stage, rows: Sequence[int], identities: Sequence[Who], share: float) -> None:
        if rows and identities:
            self._queues[stage].append(Part(tuple(rows), tuple(identities), share))

    def _sort_out(self, part: Part[Who]) -> Part[Who]:
        """Put off what is under suspicion by now, and return what is left of a part."""
        if self._stage == Stage.LAST:
            return part
        bad = [row for row in part.rows if row in self._bad_rows]
        rows = tuple(row for row in part.rows if row not in self._bad_rows) if bad else part.rows
        identities = part.identities
        if self._stage == Stage.JOINTLY and not self._slow.isdisjoint(identities):
            identities = tuple(each for each in identities if each not in self._slow)
            for slow in self._slow.intersection(part.identities):
                self._put(Stage.ALONE, part.rows, [slow], LEAST_SHARE)
        for row in bad:
            self._put(Stage.LAST, [row], identities, _smaller(part.share))
        if self._stage == Stage.ALONE and self._failures.get(identities[0], 0) >= MOST_FAILURES:
            self.give_up(Part(rows, identities, part.share), "failed on other rows")
            self.culprits.update(identities)
            rows = ()
        return Part(rows, identities, part.share)


def _smaller(share: float) -> float:
    return max(share / 2, LEAST_SHARE)


def _halves(things: tuple[Thing, ...]) -> list[tuple[Thing, ...]]:
    half = (len(things) + 1) // 2
    return [things[:half], things[half:]] if len(things) > 1 else [things]
