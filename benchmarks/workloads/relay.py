"""What the relay alone can take: from the commit until a change is numbered and handed to the Channels layer.

In bulk: 100,000 rows are there when the relay's process starts, and the start counts. With pgbench: 16 clients commit
one row after another.
"""

import time
from contextlib import ExitStack

from ayb_realtime.postgres.sql_files import statement
from benchmarks import pgbench
from benchmarks.measure import Figures
from benchmarks.parties import folder
from benchmarks.parties.database import Database, database
from benchmarks.parties.ours import relaying
from benchmarks.targets import Target, value

RELAY = "one relay"
PLOTS = ("bulk: changes per s", "pgbench: changes per s")
TARGETS = [
    Target("bulk: changes a second", value("bulk: changes per s", RELAY), 60_000),
    Target("pgbench: numbered, of what was committed", value("pgbench: numbered of committed", RELAY), 0.99),
]
LOOK_SECONDS = 0.01


def run(quick: bool) -> dict[str, Figures]:
    """Measure. quick: 1,000 rows, and one second of pgbench."""
    rows, seconds = (1000, 1) if quick else (100_000, 10)
    with ExitStack() as stack:
        db = stack.enter_context(database())
        files = stack.enter_context(folder())
        with relaying(db, files / "warm-up.log"):
            _wait_until_numbered(db)
        db.writer.execute(
            "insert into bench_open (stamp, body) select n::text, repeat('x', 75) from generate_series(1, %s) n", [rows]
        )
        began = time.monotonic()
        stack.enter_context(relaying(db, files / "relay.log"))
        _wait_until_numbered(db)
        bulk = time.monotonic() - began
        head = _head(db)
        committed_at = time.monotonic()
        committed = pgbench.run(db, pgbench.insert("bench_open"), clients=16, seconds=seconds)
        numbered = _head(db) - head
        pgbench_seconds = time.monotonic() - committed_at
        _wait_until_numbered(db)
    return {
        RELAY: {
            "bulk: changes per s": rows / bulk,
            "pgbench: changes per s": committed.per_second,
            "pgbench: numbered of committed": numbered / committed.transactions,
            "pgbench: seconds behind at the end": time.monotonic() - committed_at - pgbench_seconds,
        }
    }


def _wait_until_numbered(db: Database) -> None:
    while _status(db)[3]:
        time.sleep(LOOK_SECONDS)


def _head(db: Database) -> int:
    return int(_status(db)[2])


def _status(db: Database) -> tuple[int, ...]:
    return db.writer.execute(statement("status")).fetchone() or (0, 0, 0, 0)
