"""500 users who are all members: an EXISTS policy on another table, or a rule, shows every row to each of them."""

from benchmarks.measure import Figures, Rounds, Start, each, titled
from benchmarks.parties.naive import naive
from benchmarks.parties.ours import ours
from benchmarks.parties.pocketbase import pocketbase
from benchmarks.targets import Target, ratio, value

TABLE = "bench_members"
USERS = 500
RATE = "deliveries per CPU-s"
PLOTS = (f"paced: {RATE}", f"at once: {RATE}")
TARGETS = [
    Target("paced, of PocketBase with a rule", ratio(f"paced: {RATE}", "ours, uvicorn", "PocketBase, rule"), 4),
    Target("at once, of PocketBase with a rule", ratio(f"at once: {RATE}", "ours, uvicorn", "PocketBase, rule"), 4),
    Target("500 changes/s: how many a second arrived", value("500/s: changes per s", "ours, uvicorn"), 475),
    Target("500 changes/s: p95 in ms", value("500/s: p95 ms", "ours, uvicorn"), at_most=250),
]


def run(quick: bool) -> dict[str, Figures]:
    """Measure paced at 20 a second, and at once; ours also at 500 changes a second. quick: 10 users and 10 events."""
    users, paced, at_once, least, sustained = (10, 10, 10, 0, 50) if quick else (USERS, 60, 100, 1, 2500)
    parties: dict[str, Start] = {
        "PocketBase, rule": lambda: pocketbase(TABLE, users),
        "Channels consumers, SELECT each": lambda: naive("uvicorn", TABLE),
    }
    mine: dict[str, Start] = {
        "ours, uvicorn": lambda: ours("uvicorn", TABLE),
        "ours, --serve (Daphne)": lambda: ours("serve", TABLE),
    }

    def measure(rounds: Rounds) -> Figures:
        return titled("paced", rounds.paced(paced, 20)) | titled("at once", rounds.at_once(at_once, cpu_seconds=least))

    def measure_ours(rounds: Rounds) -> Figures:
        return measure(rounds) | titled("500/s", rounds.paced(sustained, 500))

    return each(mine, users, measure_ours) | each(parties, users, measure)
