"""What has arrived, held against what was written: lost, repeated, inverted, misdirected; and how late. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts the arrivals of a round.

    first, count: the round's sequence numbers.
    subscribers: how many there are.
    shared: whether each event is for everybody; otherwise it is for the subscriber whose number it leaves when it is
        divided by theirs.
    """

    first: int
    count: int
    subscribers: int
    shared: bool
    received: int = 0
    repeated: int = 0
    inverted: int = 0
    misdirected: int = 0
    nanoseconds: list[int] = field(default_factory=list)
    _seen: dict[int, set[int]] = field(default_factory=dict)
    _newest: dict[int, int] = field(default_factory=dict)

    @property
    def expected(self) -> int:
        """Return how many arrivals there have to be."""
        return self.count * self.subscribers if self.shared else self.count

    @property
    def is_complete(self) -> bool:
        """Whether all have arrived."""
        return self.received >= self.expected

    def add(self, subscriber: int, arrivals: Iterable[tuple[bytes, bytes]], at_ns: int) -> None:
        """Count what a subscriber has received: sequence numbers, and when each was written."""
        seen = self._seen.setdefault(subscriber, set())
        newest = self._newest.get(subscriber, -1)
        for number, written_ns in arrivals:
            n = int(number)
            if not self.first <= n < self.first + self.count:
                continue
            if not self.shared and n % self.subscribers != subscriber:
                self.misdirected += 1
            elif n in seen:
                self.repeated += 1
            else:
                seen.add(n)
                self.received += 1
                self.inverted += n < newest
                self.nanoseconds.append(at_ns - int(written_ns))
            newest = max(newest, n)
        self._newest[subscriber] = newest

    def figures(self) -> dict[str, float]:
        """Return the counts, and the latency in milliseconds."""
        late = sorted(self.nanoseconds) or [0]
        return {
            "delivered": self.received,
            "lost": self.expected - self.received,
            "repeated": self.repeated,
            "inverted": self.inverted,
            "misdirected": self.misdirected,
            "p50 ms": late[len(late) // 2] / 1e6,
            "p95 ms": late[len(late) * 95 // 100] / 1e6,
            "p99 ms": late[len(late) * 99 // 100] / 1e6,
        }
