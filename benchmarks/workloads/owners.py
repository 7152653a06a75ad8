"""A policy on the owner shows each row to one user. How does the cost of a change grow with the number of users?

The targets beside PocketBase are twice what was measured when they were set.
"""

from functools import partial

from benchmarks.measure import Figures, Rounds, Start, each, titled
from benchmarks.parties.ours import ours
from benchmarks.parties.pocketbase import pocketbase
from benchmarks.targets import Table, Target

TABLE = "bench_owners"
RATE = "changes per CPU-s"
SIZES = (500, 2000, 5000)
# It queries for each user and change, so larger sizes would take minutes.
POCKETBASE_USERS = 500
PLOTS = tuple(f"{size} {mode}: {RATE}" for mode in ("paced", "at once") for size in SIZES)


def _growth(mode: str, party: str) -> Target:
    def figure(figures: Table) -> float:
        return figures[party][f"5000 {mode}: {RATE}"] / figures[party][f"500 {mode}: {RATE}"]

    return Target(f"{mode}: {party}, at 5,000 users, of what it is at 500", figure, 0.7)


def _twice(size: int, mode: str, before: float) -> Target:
    """Return the target of twice what was measured when it was set. before: that, in changes of PocketBase's."""

    def figure(figures: Table) -> float:
        other = figures["PocketBase, rule"][f"{POCKETBASE_USERS} {mode}: {RATE}"]
        return figures["ours, uvicorn"][f"{size} {mode}: {RATE}"] / other

    return Target(f"{mode}: {size:,} users, of PocketBase with a rule for {POCKETBASE_USERS}", figure, 2 * before)


TARGETS = [
    _growth("paced", "ours, uvicorn"),
    _growth("at once", "ours, uvicorn"),
    _twice(500, "paced", 3.8),
    _twice(5000, "paced", 2.8),
    _twice(500, "at once", 120),
    _twice(5000, "at once", 126),
]


def run(quick: bool) -> dict[str, Figures]:
    """Measure each number of users, paced at 5 changes a second, and at once. quick: 10 and 20 users."""
    paced, at_once, least = (10, 20, 0) if quick else (30, 500, 1)
    figures: dict[str, Figures] = {}

    def measure(rounds: Rounds, users: int) -> Figures:
        return {
            **titled(f"{users} paced", rounds.paced(paced, 5)),
            **titled(f"{users} at once", rounds.at_once(at_once, cpu_seconds=least)),
        }

    for users in (10, 20) if quick else SIZES:
        parties: dict[str, Start] = {"ours, uvicorn": partial(ours, "uvicorn", TABLE, users)}
        if users <= POCKETBASE_USERS:
            parties["PocketBase, rule"] = partial(pocketbase, TABLE, users, users)
        for name, measured in each(parties, users, partial(measure, users=users), shared=False).items():
            figures[name] = figures.get(name, {}) | measured
    return figures
