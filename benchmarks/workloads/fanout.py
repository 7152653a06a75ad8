"""A table without row-level security. Each subscriber is a user of its own, and gets every event.

Paced: one event after another, 10,000 deliveries a second (20 events to 500 subscribers, 2 to 5,000). At once: all
events in one transaction, or one request; the targets for it are what was measured when they were set.
"""

from dataclasses import dataclass

from benchmarks.measure import Figures, Rounds, Start, each, titled
from benchmarks.parties.bare import bare
from benchmarks.parties.eventstream import eventstream
from benchmarks.parties.naive import naive
from benchmarks.parties.nchan import nchan
from benchmarks.parties.ours import ours
from benchmarks.parties.pocketbase import pocketbase
from benchmarks.targets import Target, ratio

PARTIES: dict[str, Start] = {
    "ours, uvicorn": lambda: ours("uvicorn"),
    "ours, uvicorn, relay in its process": lambda: ours("uvicorn", in_process=True),
    "ours, granian": lambda: ours("granian"),
    "ours, --serve (Daphne)": lambda: ours("serve"),
    "bare ASGI, uvicorn": lambda: bare("uvicorn"),
    "bare ASGI, granian": lambda: bare("granian"),
    "bare ASGI, Daphne": lambda: bare("daphne"),
    "django-eventstream, uvicorn": lambda: eventstream("uvicorn"),
    "Channels consumers, uvicorn": lambda: naive("uvicorn"),
    "PocketBase": pocketbase,
    "nchan": nchan,
}
DELIVERIES_PER_SECOND = 10_000
RATE = "deliveries per CPU-s"
PLOTS = (f"500 paced: {RATE}", f"500 at once: {RATE}", f"5000 paced: {RATE}", f"5000 at once: {RATE}")


@dataclass(frozen=True, slots=True)
class Size:
    """The number of subscribers, of paced events, and of events at once, repeated for ``cpu_seconds``."""

    subscribers: int
    paced: int
    at_once: int
    cpu_seconds: float

    def measure(self, rounds: Rounds) -> Figures:
        """Measure one party."""
        per_second = DELIVERIES_PER_SECOND / self.subscribers
        return {
            **titled(f"{self.subscribers} paced", rounds.paced(self.paced, per_second)),
            **titled(f"{self.subscribers} at once", rounds.at_once(self.at_once, cpu_seconds=self.cpu_seconds)),
        }


def _paced(subscribers: int, of_nchan: float, of_nchan_apart: float) -> list[Target]:
    """Return the targets of paced events. of_nchan_apart: with the relay in a process of its own, and Valkey."""
    mode = f"{subscribers} paced"

    def target(party: str, other: str, at_least: float) -> Target:
        return Target(f"{mode}, {party}, of {other}", ratio(f"{mode}: {RATE}", f"ours, {party}", other), at_least)

    return [
        target("uvicorn, relay in its process", "nchan", of_nchan),
        target("uvicorn", "nchan", of_nchan_apart),
        target("uvicorn", "PocketBase", 2),
        target("uvicorn", "django-eventstream, uvicorn", 4),
        target("--serve (Daphne)", "bare ASGI, Daphne", 2),
    ]


def _at_once(subscribers: int, of_nchan: float) -> Target:
    """Return the target of events at once. of_nchan: what was measured when the targets were set."""
    mode = f"{subscribers} at once"
    return Target(f"{mode}, uvicorn, of nchan", ratio(f"{mode}: {RATE}", "ours, uvicorn", "nchan"), of_nchan)


TARGETS = [*_paced(500, 0.9, 0.6), *_paced(5000, 1.2, 1.0), _at_once(500, 7.7), _at_once(5000, 6.4)]


def run(quick: bool, names: tuple[str, ...] = tuple(PARTIES)) -> dict[str, Figures]:
    """Measure 500 subscribers, and then 5,000. quick: 20 subscribers and few events. names: of the parties."""
    parties = {name: PARTIES[name] for name in names}
    # django-eventstream loses what exceeds 10 at once, and a round waits a minute for what is lost.
    sizes = [Size(20, 20, 10, 0)] if quick else [Size(500, 100, 200, 1), Size(5000, 10, 20, 1)]
    figures: dict[str, Figures] = {}
    for size in sizes:
        for name, measured in each(parties, size.subscribers, size.measure).items():
            figures[name] = figures.get(name, {}) | measured
    return figures
