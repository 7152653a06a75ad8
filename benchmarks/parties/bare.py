"""The baseline: a bare ASGI application that writes the same bytes, on the same servers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.parties import Party, Publisher, answers, folder, get, running, server_command
from embedded import free_port


@contextmanager
def bare(server: str) -> Iterator[Party]:
    """Serve the bare application with ``daphne``, ``uvicorn`` or ``granian``."""
    port = free_port()
    command = server_command(server, "benchmarks.sites.bare:application", port)
    with folder() as files, running(command, files / "log", answers(port, "/ready"), dict(os.environ)):
        publisher = Publisher(port, "/publish")
        yield Party(port, lambda _: get("/"), publisher.together)
        publisher.close()
