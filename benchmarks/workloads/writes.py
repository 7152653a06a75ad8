"""What capture costs writers: pgbench commits one row after the other, and an UPDATE of 100,000 rows, on a table that
is captured and on one that is not. In bulk also beside the least a trigger can do, which copies the new row as jsonb.

The relay runs, and numbers meanwhile; the tables take turns, three times, and the median counts. PostgreSQL runs
without fsync, so that a commit itself costs little: where it waits for a disk, capture costs a smaller part.
"""

import time
from statistics import median

from benchmarks import pgbench
from benchmarks.measure import Figures
from benchmarks.parties.database import Database, database
from benchmarks.parties.ours import served
from benchmarks.targets import Table, Target

PLAIN, CAPTURED, COPIED = "not captured", "captured", "a trigger that copies to_jsonb(new)"
TABLES = {PLAIN: "bench_plain", CAPTURED: "bench_open"}
ONE, MANY, BULK = "1 client: commits per s", "16 clients: commits per s", "bulk UPDATE: µs a row"
PLOTS = (ONE, MANY, BULK)

COPY = """
create table bench_copied (like bench_plain including all);
create table bench_copy (id bigint generated always as identity, record jsonb);
create function bench_copy() returns trigger language plpgsql as $$
begin
    insert into bench_copy (record) values (to_jsonb(new));
    return null;
end $$;
create trigger copy after update on bench_copied for each row execute function bench_copy();
"""


def _of_plain(figures: Table) -> float:
    return figures[CAPTURED][MANY] / figures[PLAIN][MANY]


def _capture(figures: Table) -> float:
    return figures[CAPTURED][BULK] - figures[PLAIN][BULK]


TARGETS = [
    Target("16 clients, captured, of not captured", _of_plain, 0.8),
    Target("bulk: what capture adds, in µs a row", _capture, at_most=12),
]


def run(quick: bool) -> dict[str, Figures]:
    """Measure. quick: one second of pgbench at a time, and 1,000 rows."""
    seconds, rows, turns = (1, 1000, 1) if quick else (5, 100_000, 3)
    figures: dict[str, Figures] = {PLAIN: {}, CAPTURED: {}, COPIED: {}}
    with database() as db, served("serve", db):
        for name, clients in ((ONE, 1), (MANY, 16)):
            found: dict[str, list[float]] = {party: [] for party in TABLES}
            for _ in range(turns):
                for party, table in TABLES.items():
                    committed = pgbench.run(db, pgbench.insert(table), clients=clients, seconds=seconds)
                    found[party].append(committed.per_second)
            for party, rates in found.items():
                figures[party][name] = median(rates)
        for party, microseconds in _bulk(db, rows, turns).items():
            figures[party][BULK] = microseconds
    return figures


def _bulk(db: Database, rows: int, turns: int) -> dict[str, float]:
    db.writer.execute(COPY.encode())
    tables = {**TABLES, COPIED: "bench_copied"}
    for table in tables.values():
        db.writer.execute(f"truncate {table}".encode())
        statement = f"insert into {table} (stamp, body) select '0-0', repeat('x', 75) from generate_series(1, {rows})"  # noqa: S608
        db.writer.execute(statement.encode())
        db.writer.execute(f"vacuum analyze {table}".encode())
    found: dict[str, list[float]] = {party: [] for party in tables}
    for turn in range(turns):
        for party, table in tables.items():
            began = time.monotonic()
            db.writer.execute(f"update {table} set stamp = '{turn}-0'".encode())  # noqa: S608
            found[party].append((time.monotonic() - began) / rows * 1e6)
    return {party: median(microseconds) for party, microseconds in found.items()}
