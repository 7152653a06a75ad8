"""ayb_realtime, with PostgreSQL, on each server: with Valkey and a relay beside it, or all in one by ``--serve``."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ayb_realtime.postgres.database import sql
from benchmarks.parties import Party, answers, folder, get, running, server_command
from benchmarks.parties.database import Database, database, token
from embedded import free_port

MANAGE = "manage.py"


@dataclass(frozen=True, slots=True)
class Ours(Party):
    """Ours, and its database."""

    database: Database


@contextmanager
def ours(server: str, table: str = "bench_open", owners: int = 0) -> Iterator[Ours]:
    """Serve streams of a table, each to a user of its own. server: ``serve``, ``uvicorn`` or ``granian``.

    owners: of so many users the rows are, each in its turn.
    """
    with database() as db, served(server, db) as port:
        yield Ours(
            port,
            lambda n: get(f"/api/realtime?tables={table}", token(n)),
            lambda events: db.write(table, events, owners),
            db,
        )


@contextmanager
def served(server: str, db: Database) -> Iterator[int]:
    """Serve the stream, and relay, on this database; yield the port, once the relay leads."""
    with ExitStack() as stack:
        files = stack.enter_context(folder())
        port = free_port()
        environment = dict(db.environment)
        if server == "serve":
            environment["REDIS_URL"] = ""
            command = [sys.executable, MANAGE, "runrealtime", "--serve", f"127.0.0.1:{port}"]
        else:
            stack.enter_context(relaying(db, files / "relay.log"))
            command = server_command(server, "benchmarks.sites.asgi:application", port)
        ready = answers(port, "/api/realtime")
        stack.enter_context(running(command, files / "server.log", lambda: ready() and leads(db), environment))
        yield port


@contextmanager
def relaying(db: Database, log: Path) -> Iterator[None]:
    """Run a relay by itself, from when it leads on."""
    with running([sys.executable, MANAGE, "runrealtime"], log, lambda: leads(db), db.environment):
        yield


def leads(db: Database) -> bool:
    """Tell whether a relay leads."""
    row = db.writer.execute(sql("status")).fetchone()
    return row is not None and row[0] is not None
