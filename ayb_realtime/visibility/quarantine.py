"""What a table's policies did not answer about in time: the others are not to wait for it again. Pure.

A suspect is an identity; or a ``Pair``, where it is for one row that there is no answer; or ``TABLE``, where so many
fail that they could not be told from the others in the time that there is; or ``LOST``, a connection.
"""

import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

Who = TypeVar("Who", bound=Hashable)

# What fails again is not asked about for a second, then for two, and so on up to this.
BARRED_SECONDS = 30.0
# What has not failed for so long is as good as any other.
SUSPECTED_SECONDS = 600.0
# The part of the usual time that a table is given where most of its policies fail.
LEAST_PATIENCE = 1 / 16

TABLE: Final = None
LOST: Final = "lost"
# The JSON text of each value of a row's key.
Key = tuple[str | None, ...]


class Pair(NamedTuple, Generic[Who]):
    """An identity, and a row by the values of its key."""

    identity: Who
    key: Key


@dataclass
class _Record:
    failures: int
    at: float

    @property
    def barred_seconds(self) -> float:
        # Once may be anybody's fault: that of a database that is slow just now.
        return 0.0 if self.failures == 1 else min(BARRED_SECONDS, 2.0 ** (self.failures - 2))


class Suspects:
    """What did not get an answer, of which table, how often and when."""

    def __init__(self) -> None:
        self._records: dict[int, dict[Hashable, _Record]] = {}

    def add(self, relation: int, who: Iterable[Hashable]) -> None:
        """Take down that nothing was found out for these."""
        now = time.monotonic()
        before = self._records.get(relation, {})
        records = {each: record for each, record in before.items() if now - record.at < SUSPECTED_SECONDS}
        for each in who:
            records[each] = _Record(records[each].failures + 1 if each in records else 1, now)
        if records:
            self._records[relation] = records
        else:
            self._records.pop(relation, None)

    def has_lost(self, relation: int) -> bool:
        """Take down that a connection was lost in a check of a table; tell whether that has happened lately."""
        *_, others = self.sort(relation, [LOST])
        self.add(relation, [LOST])
        return not others

    def clear(self, relation: int, who: Iterable[Hashable]) -> None:
        """Forget these, for which there was an answer."""
        records = self._records.get(relation, {})
        for each in who:
            records.pop(each, None)

    def pairs(self, relation: int) -> list[Pair[Any]]:
        """Return the pairs that are under suspicion."""
        return [each for each in self._records.get(relation, ()) if isinstance(each, Pair)]

    def patience(self, relation: int) -> float:
        """Return what part of the usual time a table is given to find out whom its policies do not answer for."""
        record = self._records.get(relation, {}).get(TABLE)
        return max(LEAST_PATIENCE, 0.5**record.failures) if record else 1.0

    def sort(self, relation: int, whom: Iterable[Who]) -> tuple[list[Who], list[Who], list[Who]]:
        """Return those that are not to be asked about now, those to ask about by themselves, and the others."""
        barred: list[Who] = []
        suspected: list[Who] = []
        others: list[Who] = []
        if not (records := self._records.get(relation)):
            return barred, suspected, list(whom)
        now = time.monotonic()
        for each in whom:
            record = records.get(each)
            if record is None or now - record.at >= SUSPECTED_SECONDS:
                others.append(each)
            else:
                (barred if now - record.at < record.barred_seconds else suspected).append(each)
        return barred, suspected, others


suspects = Suspects()
