"""Rounds of events through one party, and what they cost."""

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial

from benchmarks import processes
from benchmarks.client import LoadError
from benchmarks.events import now
from benchmarks.load import Load, subscribers
from benchmarks.parties import Missing, Party
from embedded import ServerError

Figures = dict[str, float]
# Starts a party for the length of a block.
Start = Callable[[], AbstractContextManager[Party]]

# Errors after which a party has no figures, as it is not installed or failed. The tables give the reason.
NOT_MEASURED = (Missing, LoadError, ServerError)
# Written before the measurement, so that connections, plans and code are warm.
WARM_UP_EVENTS = 5
# Figures that count from the opening of the streams on.
CUMULATIVE = ("closed", "refused", "resets")
# The most rounds of one measurement, however little processor time they take.
MOST_ROUNDS = 20


class Rounds:
    """Measures rounds of events on the open streams of one party. Sequence numbers continue from round to round."""

    def __init__(self, party: Party, load: Load, *, shared: bool = True) -> None:
        self._party = party
        self._load = load
        self._shared = shared
        self._next = 0

    def at_once(self, count: int, *, cpu_seconds: float = 1.0) -> Figures:
        """Write ``count`` events together, and repeat until the servers have used ``cpu_seconds`` of processor time.

        One round alone takes too little for the kernel's clock.
        """
        return self._measure(count, cpu_seconds, lambda first: self._party.publish(now(first, count)))

    def paced(self, count: int, per_second: float) -> Figures:
        """Write single events at this rate, whether or not they arrive in time."""

        def write(first: int) -> None:
            began = time.monotonic()
            for n in range(first, first + count):
                self._party.publish(now(n, 1))
                time.sleep(max(0.0, began + (n + 1 - first) / per_second - time.monotonic()))

        return self._measure(count, 0, write)

    def _measure(self, count: int, cpu_seconds: float, write: Callable[[int], object]) -> Figures:
        before = processes.usage([self._load.pid])
        total: Figures = {}
        rounds, is_done = 0, False
        while not is_done:
            first, self._next = self._next, self._next + count
            figures = self._load.round(first, count, partial(write, first), shared=self._shared)
            total = {name: _merged(name, total.get(name), value) for name, value in figures.items()}
            spent = processes.usage([self._load.pid]).seconds_since(before)
            rounds += 1
            is_done = spent["all"] >= cpu_seconds or rounds == MOST_ROUNDS
        database = sum(seconds for name, seconds in spent.items() if name.startswith(("postgres", "valkey")))
        return {
            "deliveries per CPU-s": total["delivered"] / spent["all"],
            "changes per CPU-s": count * rounds / spent["all"],
            "changes per s": count * rounds / total["seconds"] if total["seconds"] else 0.0,
            "database % of CPU": 100 * database / spent["all"],
            **total,
        }


def _merged(name: str, before: float | None, value: float) -> float:
    """Merge a figure of one more round: the worst latency, the newest of a cumulative figure, otherwise the sum."""
    if before is None:
        return value
    return max(before, value) if name.endswith(" ms") or name in CUMULATIVE else before + value


def each(
    parties: Mapping[str, Start],
    count: int,
    measure: Callable[[Rounds], Figures],
    *,
    shared: bool = True,
) -> dict[str, Figures]:
    """Measure one party after the other, with ``count`` subscribers. One that cannot be measured gives its reason."""
    figures: dict[str, Figures] = {}
    for name, start in parties.items():
        say(f"{name}, {count} subscribers")
        try:
            with start() as party, subscribers([party.port], party.subscriptions(count)) as load:
                rounds = Rounds(party, load, shared=shared)
                rounds.at_once(WARM_UP_EVENTS, cpu_seconds=0)
                figures[name] = measure(rounds)
        except NOT_MEASURED as error:
            figures[f"{name} ({error})"] = {}
    return figures


def say(what: str) -> None:
    """Print, for the person at the terminal, what is being measured."""
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {what} ...\n")


def titled(title: str, figures: Figures) -> Figures:
    """Put the title of a table before each figure's name."""
    return {f"{title}: {name}": value for name, value in figures.items()}
