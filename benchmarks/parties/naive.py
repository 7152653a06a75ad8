"""The obvious first attempt with Channels: a consumer per client, and where rows have policies, a SELECT per event."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.events import Event
from benchmarks.parties import Party, Publisher, answers, folder, get, running, server_command
from benchmarks.parties.database import database, user_id
from embedded import free_port


@contextmanager
def naive(server: str, table: str = "bench_open", owners: int = 0) -> Iterator[Party]:
    """Serve a consumer for each client, on the run's Valkey, with ``daphne`` or ``uvicorn``.

    table: ``bench_open``, or one with policies: then each consumer asks Postgres whether its user sees the row.
    """
    port = free_port()
    command = server_command(server, "benchmarks.sites.naive:application", port)
    with database() as db, folder() as files:
        environment = {**db.environment, "BENCH_TABLE": table}
        with running(command, files / "log", answers(port, "/ready"), environment):
            publisher = Publisher(port, "/publish")

            def publish(events: Sequence[Event]) -> None:
                if table != "bench_open":
                    db.write(table, events, owners)
                publisher.together(events)

            yield Party(port, lambda n: get(f"/events?user={user_id(n)}"), publish)
            publisher.close()
