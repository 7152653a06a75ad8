"""What got no answer lately is asked about apart, or not for a while: the others do not wait for it again. Pure.

The members of a table's quarantine are identities; a ``Pair`` where an identity gets no answer about one row; ``TABLE``
where so many fail that they could not be told from the others in time; and ``LOST`` after a check lost its connection.
"""

import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

IdentityT = TypeVar("IdentityT", bound=Hashable)
MemberT = TypeVar("MemberT", bound=Hashable)

# What fails a second time is barred for one second, then for two, and so on up to this.
BARRED_SECONDS = 30.0
# What has not failed for this long is trusted again.
SUSPECTED_SECONDS = 600.0
# The smallest part of the usual time that is spent on a table where most policies fail.
LEAST_PATIENCE = 1 / 16

TABLE: Final = None
LOST: Final = "lost"
# The JSON text of each value of a row's key.
Key = tuple[str | None, ...]


class Pair(NamedTuple, Generic[IdentityT]):
    """An identity, and a row by the values of its key."""

    identity: IdentityT
    key: Key


class Partition(NamedTuple, Generic[MemberT]):
    """Members that are not to be asked about now, those to ask about apart from others, and the others."""

    barred: list[MemberT]
    suspected: list[MemberT]
    trusted: list[MemberT]


@dataclass
class _Record:
    failures: int
    at: float

    @property
    def barred_seconds(self) -> float:
        # The first failure may be the fault of a database that is slow for a moment.
        return 0.0 if self.failures == 1 else min(BARRED_SECONDS, 2.0 ** (self.failures - 2))

    def has_expired(self, now: float) -> bool:
        return now - self.at >= SUSPECTED_SECONDS


class Quarantine:
    """What got no answer, by table: how often, and when last."""

    def __init__(self) -> None:
        self._records: dict[int, dict[Hashable, _Record]] = {}

    def add(self, relation: int, members: Iterable[Hashable]) -> None:
        """Record that these got no answer."""
        now = time.monotonic()
        before = self._records.get(relation, {})
        records = {each: record for each, record in before.items() if not record.has_expired(now)}
        for each in members:
            records[each] = _Record(records[each].failures + 1 if each in records else 1, now)
        if records:
            self._records[relation] = records
        else:
            self._records.pop(relation, None)

    def add_lost_connection(self, relation: int) -> bool:
        """Record that a check of a table lost its connection; return whether another one did lately."""
        has_lost_another = not self.partition(relation, [LOST]).trusted
        self.add(relation, [LOST])
        return has_lost_another

    def release(self, relation: int, members: Iterable[Hashable]) -> None:
        """Forget these, which got an answer."""
        records = self._records.get(relation, {})
        for each in members:
            records.pop(each, None)

    def is_empty(self, relation: int) -> bool:
        """Tell whether nothing of a table is in quarantine."""
        now = time.monotonic()
        return all(record.has_expired(now) for record in self._records.get(relation, {}).values())

    def pairs(self, relation: int) -> list[Pair[Any]]:
        """Return the pairs in quarantine."""
        return [each for each in self._records.get(relation, ()) if isinstance(each, Pair)]

    def patience(self, relation: int) -> float:
        """Return what part of the usual time may be spent to find out for which identities a table's policies fail."""
        record = self._records.get(relation, {}).get(TABLE)
        return max(LEAST_PATIENCE, 0.5**record.failures) if record else 1.0

    def partition(self, relation: int, members: Iterable[MemberT]) -> Partition[MemberT]:
        """Divide these by how they have failed, each part in their order."""
        partition = Partition[MemberT]([], [], [])
        records = self._records.get(relation, {})
        if not records:
            partition.trusted.extend(members)
            return partition
        now = time.monotonic()
        for each in members:
            record = records.get(each)
            if record is None or record.has_expired(now):
                partition.trusted.append(each)
            elif now - record.at < record.barred_seconds:
                partition.barred.append(each)
            else:
                partition.suspected.append(each)
        return partition


quarantine = Quarantine()
