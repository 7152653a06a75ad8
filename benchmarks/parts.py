"""Measures what ``scale`` reckons with: what each process spends on a change, in short rounds on open streams."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import psutil

from benchmarks import processes
from benchmarks.events import now
from benchmarks.load import Load, subscribers
from benchmarks.measure import Figures, say
from benchmarks.parties import get
from benchmarks.parties.database import USERS, Database, database, token
from benchmarks.parties.ours import APPLICATION, RELAY, served, web_process
from benchmarks.publishing import message
from benchmarks.scale import LEAST, Cost, Parts, Site

TABLES = {"open": "bench_open", "members": "bench_members", "owners": "bench_owners"}
TOGETHER = 200
# Between changes whose deliveries are not awaited.
GAP_SECONDS = 0.02
BACKENDS = """
select pid from pg_stat_activity
 where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name {} %s"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    stream, hub: bytes, of a stream and of a process that has none. opening: µs a stream, by process.
    idle: µs a second, by process, with all streams open. connections: of a hub to the database.
    reckoned, spent: µs of a change for members on two hubs, by the model and as measured.
    """

    parts: Parts
    stream: float
    hub: float
    opening: Figures
    idle: Figures
    connections: int
    reckoned: float
    spent: float


class Streams:
    """Open streams. opening, idle, bytes: as in ``Measured``. Changes of ``owners`` are for users without a stream.

    alone, together: µs of a change by process, if it has a transaction of its own, and if 200 share one.
    """

    def __init__(self, db: Database, load: Load, kind: str) -> None:
        self.count = load.count
        self._db, self._load, self._kind, self._next = db, load, kind, 0
        self.opening: Figures = {}
        self.idle: Figures = {}
        self.bytes = 0.0
        self.alone: Figures = {}
        self.together: Figures = {}

    def measure(self, rounds: int) -> None:
        """Measure. rounds: of 200 together, and ten times as many alone."""
        self._write(5, 1)  # So that connections, plans and code are warm.
        began, before = time.monotonic(), used(self._db)
        time.sleep(rounds * 0.2)  # Measure idle streams.
        self.idle = _since(before, used(self._db), time.monotonic() - began)
        self.alone, self.together = self._spent(10 * rounds, 1), self._spent(rounds, TOGETHER)

    def cost(self, *processes: str) -> Cost:
        """Return what these processes spend on changes that come together."""
        first, each = (sum(spent[process] for process in processes) for spent in (self.alone, self.together))
        return Cost(max(first, LEAST), max((TOGETHER * each - first) / (TOGETHER - 1), LEAST))

    def more(self, fewer: "Streams", process: str) -> Cost:
        """Return what each stream costs a process beyond what it spends with fewer of them."""
        mine, other, count = self.cost(process), fewer.cost(process), self.count - fewer.count
        return Cost(max((mine.first - other.first) / count, LEAST), max((mine.further - other.further) / count, LEAST))

    def _spent(self, transactions: int, rows: int) -> Figures:
        began, before = time.monotonic(), used(self._db)
        self._write(transactions, rows)
        spent, took = _since(before, used(self._db), transactions * rows), time.monotonic() - began
        return {process: cost - self.idle[process] * took / transactions / rows for process, cost in spent.items()}

    def _write(self, transactions: int, rows: int) -> None:
        """Write, and wait until all has arrived: after each transaction, unless nobody gets its changes."""
        if self._kind == "owners":
            self._write_unseen(transactions, rows)
            return
        for _ in range(transactions):
            first, self._next = self._next, self._next + rows
            self._load.round(first, rows, partial(self._db.write, TABLES[self._kind], now(first, rows)))

    def _write_unseen(self, transactions: int, rows: int) -> None:
        """Write for users without a stream, and then one change for the first user: it says when the hub is done."""
        first, self._next = self._next, self._next + self.count

        def write() -> None:
            for _ in range(transactions):
                self._db.write(TABLES[self._kind], now(USERS - rows, rows), USERS)
                time.sleep(GAP_SECONDS)
            self._db.write(TABLES[self._kind], now(first, 1), self.count)

        self._load.round(first, 1, write, shared=False)


@contextmanager
def opened(db: Database, port: int, kind: str, count: int) -> Iterator[Streams]:
    """Open streams, each of a user of its own."""
    say(f"{count} streams, {kind}")
    before, held = used(db), _web_bytes()
    subscriptions = [get(f"/api/realtime?tables={TABLES[kind]}", token(n)) for n in range(count)]
    with subscribers([port], subscriptions) as load:
        streams = Streams(db, load, kind)
        streams.opening, streams.bytes = _since(before, used(db), count), (_web_bytes() - held) / count
        yield streams


def measured(quick: bool) -> Measured:
    """Measure. quick: fewer streams, and shorter rounds."""
    few, many, rounds = (5, 50, 1) if quick else (10, 500, 10)
    found = {}
    with database() as db, served("uvicorn", db) as port:
        hub = _web_bytes()
        for kind, count in (("open", few), ("open", many), ("owners", many), ("members", few)):
            with opened(db, port, kind, count) as streams:
                # Little is to be measured, and more of it takes little.
                streams.measure(rounds * 3 if count == few else rounds)
                found[kind, count] = streams
        with opened(db, port, "members", many) as streams:
            streams.measure(rounds)
            connections = len(_pids(db, "<>"))
            all_open, unseen = found["open", many], found["owners", many]
            deliver = all_open.more(found["open", few], "web")
            parts = Parts(
                number=found["open", few].cost("relay", "session"),
                message=message(db.environment["REDIS_URL"], 400 * rounds),
                ask=unseen.cost("checks"),
                check=streams.more(found["members", few], "checks"),
                hear=unseen.cost("web"),
                answer=streams.more(found["members", few], "web").beyond(deliver),
                deliver=deliver,
            )
            with web_process(db) as second, opened(db, second, "members", many):
                streams.measure(rounds)
    return Measured(
        parts,
        stream=all_open.bytes,
        hub=hub,
        opening=all_open.opening,
        idle=all_open.idle,
        connections=connections,
        reckoned=sum(Site(2, many, "members").costs(parts).values()),
        spent=sum(streams.alone.values()),
    )


def used(db: Database) -> Figures:
    """Return the processor seconds so far of each part: relay, its session, checks, web. Valkey has few."""
    session, writer = (sum(map(processes.cpu_seconds, pids)) for pids in (_pids(db, "="), [db.writer.info.backend_pid]))
    spent = processes.usage([]).cpu_seconds
    return {
        "relay": sum(processes.cpu_seconds(each.pid) for each in _servers("runrealtime")),
        "session": session,
        "checks": sum(seconds for name, seconds in spent.items() if name.startswith("postgres")) - session - writer,
        "web": sum(processes.cpu_seconds(each.pid) for each in _servers(APPLICATION)),
    }


def _since(before: Figures, after: Figures, count: float) -> Figures:
    """Return the microseconds that each part has used since, for each of ``count``."""
    return {part: (seconds - before[part]) / count * 1e6 for part, seconds in after.items()}


def _pids(db: Database, comparison: str) -> list[int]:
    """Return the backends whose name is (``=``), or is not (``<>``), that of the relay's."""
    found = db.writer.execute(BACKENDS.format(comparison).encode(), [RELAY]).fetchall()
    return [pid for (pid,) in found]


def _servers(word: str) -> list[psutil.Process]:
    """Return the servers with this word in their commands. They stay, unlike the backends, their children."""
    return [each for each in psutil.Process().children() if word in each.cmdline()]


def _web_bytes() -> float:
    memory = [each.memory_info() for each in _servers(APPLICATION)]
    return sum(each.rss - getattr(each, "shared", 0) for each in memory)
