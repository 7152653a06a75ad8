"""Clients all come back at once to a server that was restarted, each with its Last-Event-ID, after 10,000 changes.

Each is a user of its own, and the table has no row-level security. *Reads of the log*: how many of its rows were
fetched, divided by how many there are. The relay's own reads count, but find nothing. The run prints each client that
missed events, and which: event n has the position ``n + 1`` after the one from which all resume.
"""

import time
from collections.abc import Callable

from ayb_realtime.postgres.sql_files import statement
from benchmarks import processes
from benchmarks.client import Subscription
from benchmarks.events import now
from benchmarks.load import subscribers
from benchmarks.measure import Figures, say
from benchmarks.parties import get
from benchmarks.parties.database import Database, database, token
from benchmarks.parties.ours import served
from benchmarks.targets import Target, value

OURS = "ours, uvicorn"
PLOTS = ()
TARGETS = [
    Target("events lost", value("lost", OURS), at_most=0),
    Target("events repeated", value("repeated", OURS), at_most=0),
    Target("reads of the log", value("reads of the log", OURS), at_most=10),
    Target("more memory at the most, in MB", value("more MB at the most", OURS), at_most=250),
]
BATCH = 100
LOOK_SECONDS = 0.01
FETCHED = """
select sum(coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0))
  from pg_stat_user_tables where schemaname = 'ayb_realtime' and relname like 'change%'"""

OTHERS = """
select count(*) from pg_stat_activity
 where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()"""


def run(quick: bool) -> dict[str, Figures]:
    """Measure. quick: 20 clients and 200 changes."""
    return {OURS: measured(*((20, 200) if quick else (5000, 10_000)))}


def measured(clients: int, changes: int) -> Figures:
    """Let this many clients reconnect after this many changes."""
    with database() as db:
        # When a server stops, its sessions report to Postgres what they have read.
        with served("uvicorn", db):
            position = _head(db)
            for first in range(0, changes, BATCH):
                db.write("bench_open", now(first, BATCH))
            _wait_until(lambda: _head(db) >= position + changes)
        _wait_until(lambda: not _number(db, OTHERS))
        # Autovacuum would do this within a minute. Until then, each query of the relay scans the whole log.
        db.writer.execute("analyze")
        fetched = _fetched(db)
        with served("uvicorn", db) as port:
            before = processes.usage([])
            began = time.monotonic()
            returning = [_returning(n, position) for n in range(clients)]
            with subscribers([port], returning, first=0, count=changes) as load:
                opened = time.monotonic()
                figures = load.round(0, changes, lambda: None)
                for line in load.missed:
                    say(line)
                after = processes.usage([load.pid])
        more_bytes = after.peak_bytes - before.peak_bytes
        spent = after.seconds_since(before)["all"]
        return {
            **{name: number for name, number in figures.items() if not name.endswith(" ms")},
            "seconds to open": opened - began,
            "seconds until all caught up": opened - began + figures["seconds"],
            "deliveries per CPU-s": figures["delivered"] / spent,
            "reads of the log": (_fetched(db) - fetched) / changes,
            "more MB at the most": more_bytes / 1e6,
        }


def _returning(n: int, position: int) -> Subscription:
    return get(f"/api/realtime?tables=bench_open&last_event_id={position}", token(n))


def _head(db: Database) -> int:
    row = db.writer.execute(statement("status")).fetchone()
    return int(row[2]) if row else 0


def _fetched(db: Database) -> float:
    # A session reports what it has read up to a second later, or when it ends.
    db.writer.execute("select pg_stat_force_next_flush()")
    return _number(db, FETCHED)


def _number(db: Database, query: str) -> float:
    row = db.writer.execute(query.encode()).fetchone()
    return float(row[0]) if row else 0.0


def _wait_until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(LOOK_SECONDS)
