"""Compares what arrived with what was written: lost, repeated, inverted, misdirected, and how late. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby


@dataclass(slots=True)
class Tally:
    """Counts the arrivals of a round.

    first, count: the round's sequence numbers.
    subscribers: how many there are.
    shared: whether each event is for all subscribers. Otherwise event n is for the subscriber n modulo ``subscribers``.
    """

    first: int
    count: int
    subscribers: int
    shared: bool
    received: int = 0
    repeated: int = 0
    inverted: int = 0
    misdirected: int = 0
    # How many arrivals took how many hundredths of a millisecond.
    latencies: dict[int, int] = field(default_factory=dict)
    _seen: dict[int, bytearray] = field(default_factory=dict)
    _newest: dict[int, int] = field(default_factory=dict)

    @property
    def expected(self) -> int:
        """How many arrivals there should be."""
        return self.count * self.subscribers if self.shared else self.count

    @property
    def is_complete(self) -> bool:
        """Whether all have arrived."""
        return self.received >= self.expected

    def add(self, subscriber: int, arrivals: Iterable[tuple[bytes, bytes]], at_ns: int) -> None:
        """Count what a subscriber has received: sequence numbers, each with the time of writing."""
        seen = self._seen.get(subscriber)
        if seen is None:
            seen = self._seen[subscriber] = bytearray(self.count)
        newest = self._newest.get(subscriber, -1)
        first, count, latencies = self.first, self.count, self.latencies
        for number, written_ns in arrivals:
            n = int(number)
            if not 0 <= n - first < count:
                continue
            if not self.shared and n % self.subscribers != subscriber:
                self.misdirected += 1
            elif seen[n - first]:
                self.repeated += 1
            else:
                seen[n - first] = 1
                self.received += 1
                self.inverted += n < newest
                took = (at_ns - int(written_ns)) // 10_000
                latencies[took] = latencies.get(took, 0) + 1
            if n > newest:
                newest = n
        self._newest[subscriber] = newest

    def missed(self) -> Iterator[tuple[int, str]]:
        """Yield each subscriber that missed events, and those events as ranges: ``3-7, 12``."""
        if self.is_complete:
            return
        for subscriber in range(self.subscribers):
            seen = self._seen.get(subscriber, bytes(self.count))
            step, begin = (1, 0) if self.shared else (self.subscribers, (subscriber - self.first) % self.subscribers)
            if missing := [self.first + at for at in range(begin, self.count, step) if not seen[at]]:
                yield subscriber, ", ".join(_ranges(missing, step))

    def figures(self) -> dict[str, float]:
        """Return the counts, and the latency in milliseconds."""
        return {
            "delivered": self.received,
            "lost": self.expected - self.received,
            "repeated": self.repeated,
            "inverted": self.inverted,
            "misdirected": self.misdirected,
            "p50 ms": self._percentile(50),
            "p95 ms": self._percentile(95),
            "p99 ms": self._percentile(99),
        }

    def _percentile(self, percent: int) -> float:
        """Return the latency in milliseconds that this percentage of the arrivals did not exceed."""
        rank = self.received * percent // 100
        for took, count in sorted(self.latencies.items()):
            rank -= count
            if rank < 0:
                return took / 100
        return 0.0


def _ranges(numbers: Sequence[int], step: int) -> Iterator[str]:
    """Yield each run of numbers that are ``step`` apart, as ``first-last``."""
    for _, grouped in groupby(enumerate(numbers), lambda each: each[1] - each[0] * step):
        run = [number for _, number in grouped]
        yield f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0])
