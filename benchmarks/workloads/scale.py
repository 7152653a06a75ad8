"""What a change costs by hubs, identities and streams, and what a site of 1,000,000 streams needs: reckoned, not run.

The parts are measured in short rounds on one hub, with the relay and Valkey apart. Most are differences: of 500
streams and 10, and of 200 changes in one transaction and one. What the processes use while idle is subtracted, but a
change alone includes the relay's looks until the next. The rest is reckoned, with one stream a user, for three kinds
of site. *open*: everyone gets each change, and Postgres is asked about no identity. *members*: everyone gets each
change, and Postgres is asked about every identity. *owners*: each change is for one user, and the policy tells the
hub which. Each hub has a core, and all share the cores of the database that they ask: 16, or what a million streams
need. Delays, from the commit to the delivery, are simulated: changes come at random, and networks take no time.

*Most changes a second*: what each part allows if every change has a slice of its own, and a row's name ends in the
part that is full first; from there on changes gather, and the last column is what that allows. *1,000,000 streams*:
hubs of at most 5,000 streams, used to 70 % or less, and as many of them and of the database's cores as a p95 of 250
ms needs; a row's name ends in the part that is nearest to its limit then.
"""

from collections.abc import Mapping, Sequence

from benchmarks import delays
from benchmarks.measure import Figures, say, titled
from benchmarks.parts import Measured, measured
from benchmarks.scale import KINDS, Parts, Site, planned
from benchmarks.targets import Target, value

MODEL = "two hubs, members"
PLOTS = ()
TARGETS = [
    Target("reckoned cost of a change on two hubs, of the measured", value("check of the model: ratio", MODEL), 0.75),
    Target("reckoned cost of a change on two hubs, of the measured", value("check of the model: ratio", MODEL),
           at_most=1.33),
]  # fmt: skip
SITES = ((1, 500), (1, 5000), (8, 5000), (40, 5000), (200, 5000))
RELAY_RATES = (100, 1000, 5000, 20_000, 50_000)
STREAMS = 1_000_000
HOST_CORES = 16
LATE_SECONDS = 0.25
PLANNED = {"open": (10, 100), "members": (1, 10, 100), "owners": (10, 100, 1000)}


def run(quick: bool) -> dict[str, Figures]:
    """Measure the parts, and reckon. quick: with fewer streams and shorter rounds and simulations."""
    found = measured(quick)
    seconds = 1.0 if quick else 3.0
    say("reckoning")
    figures = {**_parts(found.parts), **_others(found)}
    sites = {_name(site): site for hubs, streams in SITES for kind in KINDS for site in [Site(hubs, streams, kind)]}
    for name, site in sites.items():
        figures[name] = titled("CPU-ms of a change", _costs(found.parts, site))
        full_first = _most(name, {part: 1 / limit for part, limit in site.limits(found.parts).items()})
        figures[full_first] = titled("most changes a second", _limits(found.parts, site, seconds))
    for rate in RELAY_RATES:
        figures[f"{rate:,} changes/s"] = titled("one relay, one Valkey", _relay(found.parts, rate, seconds))
    for kind, rates in PLANNED.items():
        for rate in rates:
            at = delays.written(rate, seconds)
            site = delays.punctual(found.parts, planned(found.parts, kind, STREAMS, rate), at, LATE_SECONDS)
            name = _most(f"{kind}, {rate:,} changes/s", site.use(found.parts, rate))
            figures[name] = titled(f"{STREAMS:,} streams", _needs(found, site, rate, at))
    return figures


def _name(site: Site) -> str:
    return f"{site.hubs} x {site.streams:,} streams, {site.kind}"


def _most(name: str, parts: Mapping[str, float]) -> str:
    """Return a row's name that ends in the part with the highest figure."""
    return f"{name}: {max(parts, key=parts.__getitem__)}"


def _parts(parts: Parts) -> dict[str, Figures]:
    rows = {
        "relay: number": parts.number,
        "Valkey: a message to a hub": parts.message,
        "checks: a hub asks": parts.ask,
        "checks: about an identity": parts.check,
        "web: a hub hears": parts.hear,
        "web: an identity's answer": parts.answer,
        "web: a delivery": parts.deliver,
    }
    return {
        name: titled("parts", {"CPU-µs of a change": cost.first, "of each further one with it": cost.further})
        for name, cost in rows.items()
    }


def _others(found: Measured) -> dict[str, Figures]:
    return {
        "a stream, and a hub without one": titled(
            "streams",
            {
                "bytes of a stream": found.stream,
                "MB of a hub": found.hub / 1e6,
                "CPU-µs to open, web": found.opening["web"],
                "CPU-µs to open, database": found.opening["checks"],
                "idle CPU-ms a second, web": found.idle["web"] / 1000,
                "idle CPU-ms a second, database": found.idle["checks"] / 1000,
                "connections of a hub": found.connections,
            },
        ),
        MODEL: titled(
            "check of the model",
            {
                "CPU-ms of a change, reckoned": found.reckoned / 1000,
                "CPU-ms of a change, measured": found.spent / 1000,
                "ratio": found.reckoned / found.spent,
            },
        ),
    }


def _costs(parts: Parts, site: Site) -> Figures:
    costs = {part: cost / 1000 for part, cost in site.costs(parts).items()}
    return {**costs, "all": sum(costs.values())}


def _limits(parts: Parts, site: Site, seconds: float) -> Figures:
    """Return what each part allows if changes come one by one, and what all do if they may share slices."""
    shared = delays.most_per_second(parts, site, seconds, LATE_SECONDS)
    return {**{f"{part}, one by one": limit for part, limit in site.limits(parts).items()}, "p95 ≤ 250 ms": shared}


def _relay(parts: Parts, rate: float, seconds: float) -> Figures:
    at = delays.written(rate, seconds)
    done = delays.numbered(parts.number, at)
    batches = len(set(done))
    changes = len(at) / batches
    busy = batches * parts.number.of(changes) / 1e6
    return {
        "changes in a batch": changes,
        "% of the relay's time": 100 * busy / done[-1],
        "p95 ms until numbered": 1000 * delays.p95([late - early for late, early in zip(done, at, strict=True)]),
        "hubs that fill Valkey": done[-1] / batches * 1e6 / parts.message.of(changes),
    }


def _needs(found: Measured, site: Site, rate: float, at: Sequence[float]) -> Figures:
    use = {f"% of {part}": 100 * share for part, share in site.use(found.parts, rate).items()}
    opening = max(found.opening["web"] / site.hubs, found.opening["checks"] / HOST_CORES)
    return {
        "hubs": site.hubs,
        "hosts for them": -(-site.hubs // HOST_CORES),
        "GB of memory": (STREAMS * found.stream + site.hubs * found.hub) / 1e9,
        "database connections": site.hubs * found.connections,
        "cores for checks": site.cores,
        "databases for checks": -(-site.cores // HOST_CORES),
        **use,
        "p95 ms": 1000 * delays.p95(delays.delays(found.parts, site, at)),
        "seconds to open all": STREAMS * opening / 1e6,
    }
