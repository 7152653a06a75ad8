"""The parties that are measured. Each module starts one party's servers on the loopback address, and ends them."""

import http.client
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import Subscription
from benchmarks.events import Event
from embedded import Child
from embedded.postgres import bundled_binaries

CHECKOUT = Path(__file__).resolve().parents[2]
# After this, reconnect: uvicorn closes a connection that was idle for five seconds.
IDLE_SECONDS = 2.0


class Missing(RuntimeError):
    """A party's package is not installed. The message says which."""


@dataclass(frozen=True, slots=True)
class Party:
    """A party that runs.

    port: of its streams.
    subscription: how the n-th subscriber asks for its stream.
    publish: writes these events, together if there are several.
    """

    port: int
    subscription: Callable[[int], Subscription]
    publish: Callable[[Sequence[Event]], object]

    def subscriptions(self, count: int) -> list[Subscription]:
        """Return the subscriptions of ``count`` subscribers."""
        return [self.subscription(n) for n in range(count)]


def get(path: str, token: str = "") -> Subscription:
    """Return the request for a stream of server-sent events."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n{authorization}\r\n"
    return Subscription(head.encode())


class Publisher:
    """Posts to a server over one connection that stays open."""

    def __init__(self, port: int, path: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._path = path
        self._used_at = 0.0

    def together(self, events: Sequence[Event]) -> None:
        """Post these events as the lines of one request."""
        self.post("\n".join(event.text() for event in events))

    def one_by_one(self, events: Sequence[Event]) -> None:
        """Post each event in its own request."""
        for event in events:
            self.post(event.text())

    def post(self, body: str) -> None:
        """Post this body. Raises RuntimeError if the answer's status is not a success."""
        if time.monotonic() - self._used_at > IDLE_SECONDS:
            self._connection.close()  # The next request reconnects.
        self._connection.request("POST", self._path, body.encode())
        answer = self._connection.getresponse()
        text = answer.read()
        self._used_at = time.monotonic()
        if answer.status >= 300:
            raise RuntimeError(f"POST {self._path} was answered {answer.status}: {text[:300]!r}")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextmanager
def folder() -> Iterator[Path]:
    """Create a folder for a party's files and logs, which other users may enter; remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="ayb-bench-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def program(name: str) -> Path:
    """Return where a program is: beside Python, or on the PATH. Raises Missing."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        raise Missing(f"the program {name} is not installed")
    return Path(found)


def postgres_binaries() -> Path:
    """Return the folder of PostgreSQL's programs: the one that TEST_POSTGRES names, or the embedded one's."""
    given = os.environ.get("TEST_POSTGRES")
    return Path(given) if given else bundled_binaries()


def server_command(server: str, application: str, port: int) -> list[str]:
    """Return the command that serves an ASGI application in one process of ``daphne``, ``uvicorn`` or ``granian``."""
    python = [sys.executable, "-m"]
    commands = {
        "daphne": [*python, "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port), application],
        "uvicorn": [*python, "uvicorn", application, "--port", str(port), "--log-level", "error"],
        "granian": [*python, "granian", "--interface", "asginl", application, "--port", str(port), "--no-log"],
    }
    options = {
        "uvicorn": ["--timeout-graceful-shutdown", "5"],
        # By default it takes 1,024 requests at a time.
        "granian": ["--workers-kill-timeout", "5", "--backpressure", "20000"],
    }
    return [*commands[server], *options.get(server, [])]


def answers(port: int, path: str) -> Callable[[], bool]:
    """Return a function that tells whether a server answers here, with any status."""

    def ask() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            connection.getresponse()
        except OSError:
            return False
        finally:
            connection.close()
        return True

    return ask


@contextmanager
def running(
    command: Sequence[str | Path], log: Path, ready: Callable[[], bool], env: dict[str, str] | None = None
) -> Iterator[Child]:
    """Run a server until the block ends; enter the block when it is ready."""
    child = Child.start(command, log=log, env=env, cwd=CHECKOUT)
    try:
        child.wait_until(ready)
        yield child
    finally:
        child.stop()
