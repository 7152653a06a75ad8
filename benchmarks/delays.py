"""How late the changes of a site are: a simulation of the queues at the relay, the database and the hubs. Pure.

Times are seconds. Networks take none.
"""

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from random import Random

from benchmarks.scale import LOOK_SECONDS, SLICE_CHANGES, Cost, Parts, Site, more


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


def punctual(parts: Parts, site: Site, at: Sequence[float], at_most: float) -> Site:
    """Return the site with more cores, and then more hubs, until the p95 of the delays is at most so many seconds.

    If more would not help, return the last that was tried. at: when changes are written.
    """
    streams = site.hubs * site.streams
    while p95(delays(parts, site, at)) > at_most and site.hubs < streams / 100:
        hubs, cores = (site.hubs, more(site.cores)) if site.cores < site.hubs else (more(site.hubs), site.cores)
        site = Site(hubs, streams / hubs, site.kind, cores)
    return site
