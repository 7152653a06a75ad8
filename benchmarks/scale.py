"""What a change costs a site by hubs, identities and streams, and which part is full first. Pure.

Costs are microseconds of processor time; ``workloads.scale`` measures them. Each hub has a core of its own, as have
the relay and Valkey; the hubs share the cores of the database that they ask. A site's kinds are the extremes:

open     everyone gets each change, and Postgres is asked about no identity
members  everyone gets each change, and Postgres is asked about every identity
owners   one user gets each change, and a policy's condition tells which: Postgres is asked about that one
"""

from dataclasses import dataclass

KINDS = ("open", "members", "owners")
# Stands for costs that are lost in what can be measured.
LEAST = 0.01
# A process has them without much memory, and ends them within seconds.
STREAMS_OF_A_HUB = 5000
# The most changes that a hub delivers together.
SLICE_CHANGES = 500
# The relay looks so often while changes come.
LOOK_SECONDS = 0.005
# How long changes gather at a hub that is busy.
GATHER_SECONDS = 0.1
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
        return {part: self._cores(part) * 1e6 / cost for part, cost in self.costs(parts).items()}

    def use(self, parts: Parts, per_second: float) -> dict[str, float]:
        """Return the share of its cores that each part uses, where busy hubs let changes gather."""
        batch, slice_ = max(1.0, per_second * LOOK_SECONDS), max(1.0, min(per_second * GATHER_SECONDS, SLICE_CHANGES))
        batches, slices = self.costs(parts, batch), self.costs(parts, slice_)
        spent = {part: batches[part] / batch for part in ("relay", "Valkey")} | {
            part: slices[part] / slice_ for part in ("checks", "web")
        }
        return {part: per_second * cost / 1e6 / self._cores(part) for part, cost in spent.items()}

    def _cores(self, part: str) -> int:
        return {"relay": 1, "Valkey": 1, "checks": self.cores, "web": self.hubs}[part]


def planned(parts: Parts, kind: str, streams: int, per_second: float) -> Site:
    """Return a site for so many streams and changes a second: the hubs and cores of which a share of FULL is used."""
    hubs = -(-streams // STREAMS_OF_A_HUB)
    while hubs < streams and Site(hubs, streams / hubs, kind).use(parts, per_second)["web"] > FULL:
        hubs = more(hubs)
    checks = Site(hubs, streams / hubs, kind, cores=1).use(parts, per_second)["checks"]
    return Site(hubs, streams / hubs, kind, int(checks / FULL) + 1)


def more(count: int) -> int:
    """Return the next larger number of hubs or cores to try."""
    return count + count // 20 + 1
