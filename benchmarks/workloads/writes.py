"""What capture costs writers: pgbench commits one row after another, and an UPDATE of 100,000 rows, on a table that
is captured and on one that is not. The UPDATE also runs beside the least that a trigger can do: copy the new row as
jsonb.

Meanwhile a relay runs, and numbers into Valkey; 16 clients also commit without one. The tables take turns, three
times, and the median counts. With fsync on, a commit waits for the disk, as in production. With fsync off a commit
costs hardly anything, which shows the most that capture can cost. The processor time of a commit, until all is
numbered, is split by who used it: *writers* are all of PostgreSQL except the relay's own sessions.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from statistics import median

from ayb_realtime.postgres.sql_files import statement
from benchmarks import pgbench, processes
from benchmarks.measure import Figures, say, titled
from benchmarks.parties import folder
from benchmarks.parties.database import Database, database
from benchmarks.parties.ours import RELAY, relaying
from benchmarks.targets import Table, Target, ratio

PLAIN, CAPTURED, COPIED = "not captured", "captured", "a trigger that copies to_jsonb(new)"
TABLES = {PLAIN: "bench_plain", CAPTURED: "bench_open"}
ONE, MANY, MANY_SYNCED = "1 client, fsync off", "16 clients, fsync off", "16 clients, fsync on"
ALONE, ALONE_SYNCED = "16 clients, no relay, fsync off", "16 clients, no relay, fsync on"
WRITERS = "CPU-µs of writers"
RATE, BULK, BULK_CPU = "commits per s", "bulk UPDATE: µs a row", "bulk UPDATE: CPU-µs a row"
PLOTS = (*(f"{title}: {RATE}" for title in (ONE, MANY, ALONE, MANY_SYNCED, ALONE_SYNCED)), BULK)
LOOK_SECONDS = 0.01
# By name, since the backends of pgbench's last run may not have left yet.
RELAY_SESSIONS = "select pid from pg_stat_activity where application_name = %s"

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


def _of_plain(title: str) -> Callable[[Table], float]:
    return ratio(f"{title}: {RATE}", CAPTURED, PLAIN)


def _added(name: str) -> Callable[[Table], float]:
    return lambda figures: figures[CAPTURED][name] - figures[PLAIN][name]


TARGETS = [
    *(Target(f"{title}: captured, of not captured", _of_plain(title), 0.8) for title in (ALONE, ALONE_SYNCED)),
    *(Target(f"{title}: captured, of not captured", _of_plain(title), 0.5) for title in (MANY, MANY_SYNCED)),
    Target(f"{ALONE}: what capture adds, in CPU-µs a commit", _added(f"{ALONE}: {WRITERS}"), at_most=24),
    Target("bulk: what capture adds, in µs a row", _added(BULK), at_most=8),
    Target("bulk: what capture adds, in CPU-µs a row", _added(BULK_CPU), at_most=8),
]


def run(quick: bool) -> dict[str, Figures]:
    """Measure. quick: one second of pgbench at a time, and 1,000 rows."""
    seconds, rows, turns = (1, 1000, 1) if quick else (4, 100_000, 3)
    figures: dict[str, Figures] = {PLAIN: {}, CAPTURED: {}, COPIED: {}}
    with database("off") as db, folder() as files:
        with relaying(db, files / "relay.log"):
            _add(figures, _commits(db, ONE, 1, seconds, turns))
            _add(figures, _commits(db, MANY, 16, seconds, turns))
            _add(figures, _bulk(db, rows, turns))
        _add(figures, _commits(db, ALONE, 16, seconds, turns))
    with database("on") as db, folder() as files:
        with relaying(db, files / "relay.log"):
            _add(figures, _commits(db, MANY_SYNCED, 16, seconds, turns))
        _add(figures, _commits(db, ALONE_SYNCED, 16, seconds, turns))
    return figures


def _commits(db: Database, title: str, clients: int, seconds: int, turns: int) -> dict[str, Figures]:
    found: dict[str, list[Figures]] = {party: [] for party in TABLES}
    for _ in range(turns):
        for party, table in TABLES.items():
            say(f"{title}, {party}")
            found[party].append(_round(db, table, clients, seconds))
    return {party: titled(title, _medians(rounds)) for party, rounds in found.items()}


def _round(db: Database, table: str, clients: int, seconds: int) -> Figures:
    relays = [pid for (pid,) in db.writer.execute(RELAY_SESSIONS, [RELAY]).fetchall()]
    before = _used(relays)
    committed = pgbench.run(db, pgbench.insert(table), clients=clients, seconds=seconds)
    if relays:
        _wait_until_numbered(db)
    spent = {
        f"CPU-µs of {who}": (used - before[who]) / committed.transactions * 1e6 for who, used in _used(relays).items()
    }
    return {RATE: committed.per_second, **spent}


def _used(relays: Collection[int]) -> Figures:
    """Return the processor seconds that each part has used so far. relays: the pids of the relay's backends."""
    used = processes.usage([]).cpu_seconds
    backends = sum(map(processes.cpu_seconds, relays))
    postgres, valkey = (
        sum(seconds for program, seconds in used.items() if program.startswith(name)) for name in ("postgres", "valkey")
    )
    return {
        "writers": postgres - backends,
        "the relay's sessions": backends,
        "the relay": sum(used.values()) - postgres - valkey,
        "Valkey": valkey,
    }


def _wait_until_numbered(db: Database) -> None:
    while (db.writer.execute(statement("status")).fetchone() or (0,) * 4)[3]:
        time.sleep(LOOK_SECONDS)


def _bulk(db: Database, rows: int, turns: int) -> dict[str, Figures]:
    db.writer.execute(COPY.encode())
    tables = {**TABLES, COPIED: "bench_copied"}
    for table in tables.values():
        db.writer.execute(f"truncate {table}".encode())
        statement = f"insert into {table} (stamp, body) select '0-0', repeat('x', 75) from generate_series(1, {rows})"  # noqa: S608
        db.writer.execute(statement.encode())
        db.writer.execute(f"vacuum analyze {table}".encode())
    found: dict[str, list[Figures]] = {party: [] for party in tables}
    backend = db.writer.info.backend_pid
    for turn in range(turns):
        for party, table in tables.items():
            say(f"bulk, {party}")
            # The relay must have nothing left to do during the next step.
            _wait_until_numbered(db)
            began, used = time.monotonic(), processes.cpu_seconds(backend)
            db.writer.execute(f"update {table} set stamp = '{turn}-0'".encode())  # noqa: S608
            took, spent = time.monotonic() - began, processes.cpu_seconds(backend) - used
            found[party].append({BULK: took / rows * 1e6, BULK_CPU: spent / rows * 1e6})
    return {party: _medians(rounds) for party, rounds in found.items()}


def _medians(rounds: Sequence[Figures]) -> Figures:
    return {name: median(figures[name] for figures in rounds) for name in rounds[0]}


def _add(figures: dict[str, Figures], more: Mapping[str, Figures]) -> None:
    for party, found in more.items():
        figures[party] |= found
