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
SUSTAINED = 1000


def _of_pocketbase(mode: str, party: str, at_least: float) -> Target:
    what = f"{mode}, {party}, of PocketBase with a rule"
    return Target(what, ratio(f"{mode}: {RATE}", f"ours, {party}", "PocketBase, rule"), at_least)


TARGETS = [
    _of_pocketbase("paced", "uvicorn, relay in its process", 4),
    _of_pocketbase("paced", "uvicorn", 3),
    _of_pocketbase("at once", "uvicorn", 4),
    Target(f"{SUSTAINED}/s: how many a second arrived", value(f"{SUSTAINED}/s: changes per s", "ours, uvicorn"), 950),
    Target(f"{SUSTAINED}/s: p95 in ms", value(f"{SUSTAINED}/s: p95 ms", "ours, uvicorn"), at_most=250),
]


def run(quick: bool) -> dict[str, Figures]:
    """Measure paced at 20 a second, and at once; ours also at 1,000 changes a second. quick: 10 users and 10 events."""
    users, paced, at_once, least, sustained = (10, 10, 10, 0, 50) if quick else (USERS, 60, 100, 1, 5 * SUSTAINED)
    parties: dict[str, Start] = {
        "PocketBase, rule": lambda: pocketbase(TABLE, users),
        "Channels consumers, SELECT each": lambda: naive("uvicorn", TABLE),
    }
    mine: dict[str, Start] = {
        "ours, uvicorn": lambda: ours("uvicorn", TABLE),
        "ours, uvicorn, relay in its process": lambda: ours("uvicorn", TABLE, in_process=True),
        "ours, --serve (Daphne)": lambda: ours("serve", TABLE),
    }

    def measure(rounds: Rounds) -> Figures:
        return titled("paced", rounds.paced(paced, 20)) | titled("at once", rounds.at_once(at_once, cpu_seconds=least))

    def measure_ours(rounds: Rounds) -> Figures:
        return measure(rounds) | titled(f"{SUSTAINED}/s", rounds.paced(sustained, SUSTAINED))

    return each(mine, users, measure_ours) | each(parties, users, measure)
