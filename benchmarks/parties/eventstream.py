"""django-eventstream, in one process, without its storage."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from benchmarks.parties import Missing, Party, Publisher, answers, folder, get, running, server_command
from embedded import free_port


@contextmanager
def eventstream(server: str) -> Iterator[Party]:
    """Serve django-eventstream with ``daphne`` or ``uvicorn``."""
    if find_spec("django_eventstream") is None:
        raise Missing("the package django-eventstream is not installed")
    port = free_port()
    command = server_command(server, "benchmarks.sites.eventstream:application", port)
    with folder() as files, running(command, files / "log", answers(port, "/ready"), dict(os.environ)):
        publisher = Publisher(port, "/publish")
        yield Party(port, lambda _: get("/events/?channel=bench"), publisher.together)
        publisher.close()
