"""The ASGI servers that users run the example on, with a relay and Redis or Valkey as in production."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.example import MANAGE, Example, answers

APPLICATION = "example_project.asgi:application"


@dataclass(frozen=True, slots=True)
class Server:
    """A server's arguments to Python, where ``{port}`` stands for the port.

    limit: further arguments, which limit how long a stop waits for clients that do not read.
    code: its process' exit code when it is told to stop.
    waits: whether a stop without such a limit waits for clients that do not read until they have gone.
    """

    name: str
    arguments: tuple[str, ...]
    limit: tuple[str, ...] = ()
    code: int = 0
    waits: bool = False

    def command(self, port: int, *, limited: bool) -> list[str]:
        """Return the arguments to Python."""
        return [part.format(port=port) for part in (*self.arguments, *(self.limit if limited else ()))]


SERVERS = [
    Server("runrealtime", (str(MANAGE), "runrealtime", "--serve", "127.0.0.1:{port}")),
    Server(
        "uvicorn",
        ("-m", "uvicorn", APPLICATION, "--port", "{port}"),
        ("--timeout-graceful-shutdown", "5"),
        # It kills itself by the signal when it is done.
        code=-signal.SIGTERM,
    ),
    Server(
        "hypercorn",
        ("-m", "hypercorn", APPLICATION, "--bind", "127.0.0.1:{port}", "--workers", "0"),
        waits=True,
    ),
    Server(
        "granian",
        ("-m", "granian", "--interface", "asginl", APPLICATION, "--port", "{port}"),
        ("--workers-kill-timeout", "5"),
    ),
]
every_server = pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)


@contextmanager
def deployed(
    database_url: str, folder: Path, server: Server, *, limited: bool, settings: str = "example_project.settings"
) -> Iterator[Example]:
    """Serve the example with this server and a relay, on a database that is prepared.

    Yield it once it answers and the relay leads.
    """
    example = Example(database_url, folder, REDIS_URL=os.environ["REDIS_URL"], DJANGO_SETTINGS_MODULE=settings)
    relay = example.run(str(MANAGE), "runrealtime")
    try:
        relay.wait_until(lambda: "relay leads" in example.log())
        example.server = example.run(*server.command(example.port, limited=limited))
        example.server.wait_until(lambda: answers(example.address))
        yield example
    finally:
        example.stop()
        relay.stop()
