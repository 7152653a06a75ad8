"""A bare LISTEN: the shortest way out of PostgreSQL. A process writes each notification to every connected client."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.parties import Party, answers, folder, get, running
from benchmarks.parties.database import database
from embedded import free_port

TRIGGER = """
create function bench_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('bench', json_build_object('stamp', new.stamp, 'body', new.body)::text);
    return null;
end $$;
create trigger notify after insert on bench_plain for each row execute function bench_notify();
"""


@contextmanager
def listen() -> Iterator[Party]:
    """Run a process that listens."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.sites.listen", str(port)]
    with database() as db, folder() as files:
        db.writer.execute(TRIGGER.encode())
        with running(command, files / "log", answers(port, "/ready"), db.environment):
            yield Party(port, lambda _: get("/"), lambda events: db.write("bench_plain", events))
