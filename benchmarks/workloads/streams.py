"""5,000 streams without writes: the memory, threads and connections that each holds, and what it costs while idle."""

import time
from collections.abc import Callable

from benchmarks import processes
from benchmarks.load import subscribers
from benchmarks.measure import NOT_MEASURED, Figures, Start, say
from benchmarks.parties import Party
from benchmarks.parties.ours import Ours
from benchmarks.targets import Table, Target, value
from benchmarks.workloads import fanout

PARTIES = (
    "ours, uvicorn",
    "ours, --serve (Daphne)",
    "bare ASGI, uvicorn",
    "bare ASGI, Daphne",
    "django-eventstream, uvicorn",
    "PocketBase",
    "nchan",
)
BYTES = "bytes a stream"
OPENING, IDLE = "CPU-ms to open", "idle CPU-ms a second"
PLOTS = (BYTES, IDLE)


def _more_bytes(party: str, bare: str) -> Callable[[Table], float]:
    return lambda figures: figures[party][BYTES] - figures[bare][BYTES]


TARGETS = [
    Target(
        "bytes a stream more than the bare application's, uvicorn",
        _more_bytes("ours, uvicorn", "bare ASGI, uvicorn"),
        at_most=1024,
    ),
    Target(
        "bytes a stream more than the bare application's, Daphne",
        _more_bytes("ours, --serve (Daphne)", "bare ASGI, Daphne"),
        at_most=1024,
    ),
    Target("opening a stream, uvicorn, in CPU-ms", value(OPENING, "ours, uvicorn"), at_most=2),
    Target("idle, uvicorn, in CPU-ms a second", value(IDLE, "ours, uvicorn"), at_most=5),
    Target("threads for all streams, uvicorn", value("more threads", "ours, uvicorn"), at_most=50),
    Target("threads for all streams, Daphne", value("more threads", "ours, --serve (Daphne)"), at_most=50),
    Target("connections to the database", value("database connections", "ours, uvicorn"), at_most=20),
]
# Opened first, so that code, plans and pools are loaded before memory is measured.
WARM_UP_STREAMS = 10


def run(quick: bool) -> dict[str, Figures]:
    """Open 5,000 streams of each party, and watch them for a while. quick: 20 streams, for one second."""
    # Two heartbeats of each stream, and one look at all users.
    count, seconds = (20, 1.0) if quick else (5000, 30.0)
    figures = {}
    for name in PARTIES:
        say(f"{name}, {count} streams")
        try:
            figures[name] = _idle(fanout.PARTIES[name], count, seconds)
        except NOT_MEASURED as error:
            figures[f"{name} ({error})"] = {}
    return figures


def _idle(start: Start, count: int, seconds: float) -> Figures:
    with start() as party:
        with subscribers([party.port], party.subscriptions(WARM_UP_STREAMS)) as load:
            before = processes.usage([load.pid])
        began = time.monotonic()
        with subscribers([party.port], party.subscriptions(count)) as load:
            opened = time.monotonic()
            opening = processes.usage([load.pid])
            time.sleep(seconds)  # Measure idle streams.
            idle = processes.usage([load.pid])
            connections = _connections(party)
            return {
                BYTES: (idle.anonymous_bytes - before.anonymous_bytes) / count,
                "more threads": idle.threads - before.threads,
                "database connections": connections,
                IDLE: idle.seconds_since(opening)["all"] / seconds * 1000,
                OPENING: opening.seconds_since(before)["all"] / count * 1000,
                "seconds to open all": opened - began,
            }


def _connections(party: Party) -> float:
    if not isinstance(party, Ours):
        return 0
    row = party.database.writer.execute(
        "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    ).fetchone()
    return float(row[0]) if row else 0
