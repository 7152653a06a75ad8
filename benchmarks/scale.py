"""What a change costs a site by hubs, identities and streams, how late it is, and which part is full first. Pure.

Costs are microseconds of processor time; ``workloads.scale`` measures them. Each hub has a core of its own, as have
the relay and Valkey; the hubs share the cores of the database that they ask. A site's kinds are the extremes:

open     everyone gets each change, and Postgres is asked about nobody
members  everyone gets each change, and Postgres is asked about everyone
owners   one user gets each change, and a policy's condition tells which: Postgres is asked about that one
"""

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

KINDS = ("open", "members", "owners")
# Stands for costs that are lost in what can be measured.
LEAST = 0.01
# A process has them without much memory, and ends them within seconds.
STREAMS_OF_A_HUB = 5000
# The most changes that a hub delivers together.
SLICE_CHANGES = 500
# The relay looks so often while changes come.
LOOK_SECONDS = 0.005
# How much of a core may be used on average, where a site is planned.
FULL = 0.7


@dataclass(frozen=True, slots=True)
class Cost:
    """What changes that are handled together cost: ``first`` for one, and ``further`` for each one more."""

    first: float
    further: float

    def of(self, changes: float) -> float:
        """Return the cost of so many together."""
        return self.first + (changes - 1) * self.further

    def beyond(self, other: "Cost") -> "Cost":
        """Return what this costs more than another; never less than nothing."""
        return Cost(max(self.first - other.first, 0.0), max(self.further - other.further, 0.0))


@dataclass(frozen=True, slots=True)
class Parts:
    """The measured parts.

    number: the relay and its session, for changes numbered together.
    message: Valkey, for one hub, for changes in one message.
    ask, check: Postgres, for changes in one slice: for a hub, and for each identity that is asked about.
    hear, answer, deliver: the web process, for changes in one slice: for itself, for each identity that is asked
        about, and for each stream that gets them.
    """

    number: Cost
    message: Cost
    ask: Cost
    check: Cost
    hear: Cost
    answer: Cost
    deliver: Cost


@dataclass(frozen=True, slots=True)
class Site:
    """A site. streams: of each hub, each by a user of its own; kind: one of KINDS; cores: of the database asked."""

    hubs: int
    streams: float
    kind: str
    cores: int = 16

    @property
    def asked(self) -> float:
        """About how many identities a hub asks, for a change."""
        return {"open": 0.0, "members": self.streams, "owners": 1 / self.hubs}[self.kind]

    @property
    def seen(self) -> float:
        """How many streams of a hub get a change."""
        return 1 / self.hubs if self.kind == "owners" else self.streams

    def database(self, parts: Parts, changes: float = 1) -> float:
        """Return what one hub's slice of so many changes costs Postgres."""
        return parts.ask.of(changes) + self.asked * self._each(parts.check, changes)

    def web(self, parts: Parts, changes: float = 1) -> float:
        """Return what a slice of so many changes costs one hub's process."""
        answer, deliver = self._each(parts.answer, changes), self._each(parts.deliver, changes)
        return parts.hear.of(changes) + self.asked * answer + self.seen * deliver

    def _each(self, cost: Cost, changes: float) -> float:
        """Return what changes cost an identity or a stream; of an owners' site, each is for another one."""
        return cost.first * changes if self.kind == "owners" else cost.of(changes)

    def costs(self, parts: Parts, changes: float = 1) -> dict[str, float]:
        """Return what so many changes that come together cost each part of the whole site."""
        return {
            "relay": parts.number.of(changes),
            "Valkey": self.hubs * parts.message.of(changes),
            "checks": self.hubs * self.database(parts, changes),
            "web": self.hubs * self.web(parts, changes),
        }

    def limits(self, parts: Parts) -> dict[str, float]:
        """Return how many changes a second each part allows if they come one by one."""
        cores = {"relay": 1, "Valkey": 1, "checks": self.cores, "web": self.hubs}
        return {part: cores[part] * 1e6 / cost for part, cost in self.costs(parts).items()}


def planned(parts: Parts, kind: str, streams: int, per_second: float, wait: float) -> Site:
    """Return a site for so many streams and changes a second: the hubs and cores of which a share of FULL is used.

    wait: seconds; a busy hub delivers together what comes in so long.
    """
    changes = max(1.0, min(per_second * wait, SLICE_CHANGES))
    slices = per_second / changes
    hubs = -(-streams // STREAMS_OF_A_HUB)
    while hubs < streams and slices * Site(hubs, streams / hubs, kind).web(parts, changes) > FULL * 1e6:
        hubs = _more(hubs)
    checks = slices * Site(hubs, streams / hubs, kind).costs(parts, changes)["checks"]
    return Site(hubs, streams / hubs, kind, int(checks / 1e6 / FULL) + 1)


def punctual(parts: Parts, site: Site, at: Sequence[float], at_most: float) -> Site:
    """Return the site with more cores, and then more hubs, until the p95 of the delays is at most so many seconds.

    If more would not help, return the last that was tried. at: when changes are written.
    """
    streams = site.hubs * site.streams
    while p95(delays(parts, site, at)) > at_most and site.hubs < streams / 100:
        hubs, cores = (site.hubs, _more(site.cores)) if site.cores < site.hubs else (_more(site.hubs), site.cores)
        site = Site(hubs, streams / hubs, site.kind, cores)
    return site


def _more(count: int) -> int:
    return count + count // 20 + 1


def written(per_second: float, seconds: float) -> list[float]:
    """Return when changes are written that come at random, so many a second on average. There is at least one."""
    random = Random(1)  # noqa: S311 - not a secret; the same each time, so that results are the same
    count = max(1, round(per_second * seconds))
    return list(accumulate(random.expovariate(per_second) for _ in range(count)))


def numbered(number: Cost, at: Sequence[float]) -> list[float]:
    """Return when each of these changes is numbered: the relay takes all that are there together."""
    found: list[float] = []
    free = 0.0
    while len(found) < len(at):
        begins = max(free + (LOOK_SECONDS if found else 0.0), at[len(found)])
        changes = bisect_right(at, begins) - len(found)
        free = begins + number.of(changes) / 1e6
        found += [free] * changes
    return found


def delays(parts: Parts, site: Site, at: Sequence[float]) -> list[float]:
    """Return how many seconds after being written each change has been delivered at each hub.

    One core of the database serves its share of the hubs, one after the other. A hub takes all that has come meanwhile.
    """
    announced = numbered(parts.number, at)
    return [done - at[n] for n, done in _delivered(parts, site, announced)]


def _delivered(parts: Parts, site: Site, announced: Sequence[float]) -> Iterator[tuple[int, float]]:
    """Yield each change's number with the time of its delivery, for each of the hubs that share a core."""
    sharing = max(1, -(-site.hubs // site.cores))
    waiting = [(announced[0], hub, 0) for hub in range(sharing)]
    free = 0.0
    while waiting:
        at, hub, first = heapq.heappop(waiting)
        upto = min(bisect_right(announced, at), first + SLICE_CHANGES)
        free = max(at, free) + site.database(parts, upto - first) / 1e6
        done = free + site.web(parts, upto - first) / 1e6
        yield from ((n, done) for n in range(first, upto))
        if upto < len(announced):
            heapq.heappush(waiting, (max(done, announced[upto]), hub, upto))


def p95(found: Sequence[float]) -> float:
    """Return what 95 of 100 do not exceed."""
    return sorted(found)[len(found) * 95 // 100]


def most_per_second(parts: Parts, site: Site, seconds: float, at_most: float) -> float:
    """Return about the highest rate whose simulated delays have a p95 of at most so many seconds; at most 100,000.

    seconds: how long each simulation is. Returns 0 if a change a second is too much.
    """

    def is_late(rate: float) -> bool:
        return p95(delays(parts, site, written(rate, seconds))) > at_most

    low, step = 0.5, 2.0
    while step > 1.05:
        while low < 1e5 and not is_late(low * step):
            low *= step
        step **= 0.5
    return low if low >= 1 else 0.0
