"""Identities for which a table's policies did not answer in time: the others are not to wait for them again. Pure."""

import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

Who = TypeVar("Who", bound=Hashable)

# Who fails again is not asked about for a second, then for two, and so on up to this.
BARRED_SECONDS = 30.0
# Who has not failed for so long is as good as anybody.
SUSPECTED_SECONDS = 600.0


@dataclass
class _Record:
    failures: int
    at: float

    @property
    def barred_seconds(self) -> float:
        # Once may be anybody's fault: that of a database that is slow just now.
        return 0.0 if self.failures == 1 else min(BARRED_SECONDS, 2.0 ** (self.failures - 2))


class Suspects:
    """Who did not get an answer, of which table, how often and when."""

    def __init__(self) -> None:
        self._records: dict[tuple[int, Hashable], _Record] = {}

    def add(self, relation: int, who: Hashable) -> None:
        """Take down that nothing was found out for somebody."""
        now = time.monotonic()
        self._records = {key: each for key, each in self._records.items() if now - each.at < SUSPECTED_SECONDS}
        before = self._records.get((relation, who))
        self._records[relation, who] = _Record(before.failures + 1 if before else 1, now)

    def clear(self, relation: int, who: Hashable) -> None:
        """Forget somebody, for whom there was an answer."""
        self._records.pop((relation, who), None)

    def sort(self, relation: int, identities: Iterable[Who]) -> tuple[list[Who], list[Who], list[Who]]:
        """Return those that are not to be asked about now, those to ask about by themselves, and the others."""
        barred: list[Who] = []
        suspected: list[Who] = []
        others: list[Who] = []
        for identity in identities:
            record = self._records.get((relation, identity))
            seconds = time.monotonic() - record.at if record else SUSPECTED_SECONDS
            if record is None or seconds >= SUSPECTED_SECONDS:
                others.append(identity)
            else:
                (barred if seconds < record.barred_seconds else suspected).append(identity)
        return barred, suspected, others


suspects = Suspects()
