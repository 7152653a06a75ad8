"""ayb_realtime, with PostgreSQL, on each server: with Valkey and a relay process, or with the relay in its process."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ayb_realtime.postgres.sql_files import statement
from benchmarks.parties import Party, answers, folder, get, running, server_command
from benchmarks.parties.database import Database, database, token
from embedded import free_port

MANAGE = "manage.py"
APPLICATION = "benchmarks.sites.asgi:application"
RELAY = "relay"  # The name of the relay's sessions in the database.


@dataclass(frozen=True, slots=True)
class Ours(Party):
    """ayb_realtime as a party, with its database."""

    database: Database


@contextmanager
def ours(server: str, table: str = "bench_open", owners: int = 0, *, in_process: bool = False) -> Iterator[Ours]:
    """Serve streams of a table, each to a different user. server: ``serve``, ``uvicorn`` or ``granian``.

    owners: the number of users that own the rows in turn.
    in_process: whether the relay runs in the web process, as it always does with ``serve``, and without Valkey.
    """
    with database() as db, served(server, db, in_process=in_process) as port:
        yield Ours(
            port,
            lambda n: get(f"/api/realtime?tables={table}", token(n)),
            lambda events: db.write(table, events, owners),
            db,
        )


@contextmanager
def served(server: str, db: Database, *, in_process: bool = False) -> Iterator[int]:
    """Serve the stream and run a relay on this database; yield the port once the relay leads."""
    with ExitStack() as stack:
        files = stack.enter_context(folder())
        port = free_port()
        environment = dict(db.environment)
        if server == "serve" or in_process:
            environment |= {"REDIS_URL": "", "RELAY_IN_PROCESS": str(int(server != "serve"))}
        else:
            stack.enter_context(relaying(db, files / "relay.log"))
        if server == "serve":
            command = [sys.executable, MANAGE, "runrealtime", "--serve", f"127.0.0.1:{port}"]
        else:
            command = server_command(server, APPLICATION, port)
        # The first stream makes the hub, which runs the relay if that is in the process.
        ready = answers(port, f"/api/realtime?tables=bench_open&token={token(0)}" if in_process else "/api/realtime")
        stack.enter_context(running(command, files / "server.log", lambda: ready() and leads(db), environment))
        yield port


@contextmanager
def web_process(db: Database) -> Iterator[int]:
    """Serve the stream by a uvicorn process beside a relay; yield its port."""
    port = free_port()
    command, ready = server_command("uvicorn", APPLICATION, port), answers(port, "/api/realtime")
    with folder() as files, running(command, files / "server.log", ready, db.environment):
        yield port


@contextmanager
def relaying(db: Database, log: Path) -> Iterator[None]:
    """Run a relay in its own process; enter the block when it leads."""
    environment = {**db.environment, "PGAPPNAME": RELAY}
    with running([sys.executable, MANAGE, "runrealtime"], log, lambda: leads(db), environment):
        yield


def leads(db: Database) -> bool:
    """Tell whether a relay leads."""
    row = db.writer.execute(statement("status")).fetchone()
    return row is not None and row[0] is not None
