"""A separate host for a web process: a network namespace at the end of a cable that can be pulled.

It needs Linux, root and iproute2. It reaches only this machine. A pulled cable loses what is sent and tells no peer,
unlike a proxy that is cut.
"""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

NOT_AVAILABLE = "a network namespace takes Linux, root and iproute2"
# In the network that is reserved for tests. Source: RFC 2544.
NETWORK = "198.18"


class WebHost:
    """A network namespace. ``near``: this machine's address; ``far``: the namespace's."""

    def __init__(self) -> None:
        number = random.SystemRandom().randrange(1, 250)
        self.near, self.far = f"{NETWORK}.{number}.1", f"{NETWORK}.{number}.2"
        self._name = f"ayb-chaos-{os.getpid()}-{number}"
        self._cable = f"ayb{number}"

    @property
    def prefix(self) -> list[str]:
        """Return what to put before a command to run it on the host."""
        return ["ip", "netns", "exec", self._name]

    def set_up(self) -> None:
        """Create the host and the cable."""
        _ip("netns", "add", self._name)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self._name)
        _ip("address", "add", f"{self.near}/30", "dev", self._cable)
        _ip("-n", self._name, "address", "add", f"{self.far}/30", "dev", "eth0")
        _ip("-n", self._name, "link", "set", "lo", "up")
        _ip("-n", self._name, "link", "set", "eth0", "up")
        self.plug()

    def unplug(self) -> None:
        """Pull the cable."""
        _ip("link", "set", self._cable, "down")

    def plug(self) -> None:
        """Plug it in again."""
        _ip("link", "set", self._cable, "up")

    def remove(self) -> None:
        """Remove the host and its cable, if they were created."""
        with suppress(OSError, subprocess.CalledProcessError):
            _ip("netns", "delete", self._name)


@contextmanager
def web_host() -> Iterator[WebHost]:
    """Create a host until the block ends. Raises OSError or CalledProcessError if that fails."""
    host = WebHost()
    try:
        host.set_up()
        yield host
    finally:
        host.remove()


@cache
def is_available() -> bool:
    """Tell whether this machine allows that."""
    try:
        with web_host():
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
