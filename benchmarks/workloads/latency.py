"""One subscriber: from just before the INSERT is sent until the client has the event, one row in each transaction.

Beside it runs a bare LISTEN by psycopg, on a table whose trigger notifies with the row's stamp: the least time that
Postgres takes to notify a client.
"""

from benchmarks.measure import Figures, Rounds, Start, each, titled
from benchmarks.parties.listen import listen
from benchmarks.parties.ours import ours
from benchmarks.targets import Target, ratio

LISTEN = "bare LISTEN"
# Changes a second, and the most that the median may be, in medians of a bare LISTEN.
RATES = {5: 3.5, 200: 5.0}
PLOTS = tuple(f"{rate}/s: {figure}" for rate in RATES for figure in ("p50 ms", "p99 ms"))
TARGETS = [
    Target(f"{rate}/s, p50, {party}, of {LISTEN}", ratio(f"{rate}/s: p50 ms", f"ours, {party}", LISTEN), at_most=most)
    for rate, most in RATES.items()
    for party in ("uvicorn", "--serve (Daphne)")
]


def run(quick: bool) -> dict[str, Figures]:
    """Measure at 5 changes a second, each of which finds the relay asleep, and at 200. quick: for one second."""
    seconds = 1 if quick else 10

    def measure(rounds: Rounds) -> Figures:
        figures: Figures = {}
        for rate in RATES:
            figures |= titled(f"{rate}/s", rounds.paced(rate * seconds, rate))
        return figures

    parties: dict[str, Start] = {
        LISTEN: listen,
        "ours, uvicorn": lambda: ours("uvicorn"),
        "ours, --serve (Daphne)": lambda: ours("serve"),
    }
    return each(parties, 1, measure)
