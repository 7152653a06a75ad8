"""1, 2, 4 and 8 web processes, which hear of changes through Valkey, or by LISTEN from PostgreSQL, without a layer.

Each has 25 streams of members, and 20 changes a second come one by one. What a change costs is without what the
processes use while nothing is written. The writes are a part of PostgreSQL's figure.
"""

import time
from contextlib import ExitStack
from dataclasses import replace

from benchmarks import processes
from benchmarks.load import subscribers
from benchmarks.measure import NOT_MEASURED, WARM_UP_EVENTS, Figures, Rounds, say
from benchmarks.parties import Party, folder, get
from benchmarks.parties.database import database, token
from benchmarks.parties.ours import relaying, web_process
from benchmarks.targets import Target

TABLE = "bench_members"
STREAMS, PER_SECOND = 25, 20
WAYS = {"Valkey": True, "LISTEN": False}
ALL, POSTGRES = "CPU-ms a change", "of which PostgreSQL"
PLOTS = (ALL, POSTGRES, "p95 ms")
TARGETS: list[Target] = []


def run(quick: bool) -> dict[str, Figures]:
    """Measure each number of web processes by both ways. quick: one and two of them, for a second."""
    seconds = 1 if quick else 10
    figures: dict[str, Figures] = {}
    for count in (1, 2) if quick else (1, 2, 4, 8):
        for way, has_layer in WAYS.items():
            name = f"ours, {count} web {'process' if count == 1 else 'processes'}, {way}"
            say(name)
            try:
                figures[name] = _measured(count, seconds, has_layer=has_layer)
            except NOT_MEASURED as error:
                figures[f"{name} ({error})"] = {}
    return figures


def _measured(count: int, seconds: int, *, has_layer: bool) -> Figures:
    with ExitStack() as stack:
        db = stack.enter_context(database())
        if not has_layer:
            db = replace(db, environment={**db.environment, "REDIS_URL": ""})
        stack.enter_context(relaying(db, stack.enter_context(folder()) / "relay.log"))
        ports = [stack.enter_context(web_process(db)) for _ in range(count)]
        party = Party(ports[0], lambda n: get(f"/api/realtime?tables={TABLE}", token(n)), lambda e: db.write(TABLE, e))
        load = stack.enter_context(subscribers(ports, party.subscriptions(count * STREAMS)))
        rounds = Rounds(party, load)
        rounds.at_once(WARM_UP_EVENTS, cpu_seconds=0)
        before = processes.usage([load.pid])
        time.sleep(seconds)  # Measure idle streams.
        idle = processes.usage([load.pid])
        arrived = rounds.paced(seconds * PER_SECOND, PER_SECOND)
        spent = processes.usage([load.pid]).seconds_since(idle)
        unused = idle.seconds_since(before)
        cost = {name: (used - unused.get(name, 0.0)) / seconds / PER_SECOND * 1000 for name, used in spent.items()}
        postgres = sum(used for name, used in cost.items() if name.startswith("postgres"))
        return {ALL: cost["all"], POSTGRES: postgres, **{name: arrived[name] for name in ("p50 ms", "p95 ms")}}
