"""The layout of a run: options, names, ports, and how each process connects to PostgreSQL and Redis.

Ports are below those that the system gives to outgoing connections, so that a killed server finds its port free again.
"""

import random
from dataclasses import dataclass
from pathlib import Path

from embedded import is_free

SETTINGS = {"fsync": "off", "max_connections": "200", "log_min_messages": "fatal"}
PORTS = range(20_000, 32_000)
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run.

    layer: ``pubsub`` or ``core``; ``none``: web processes LISTEN.
    flaw: one of those in ``flawed.py``, to test that the checker finds it; usually none.
    clocks: whether clocks can be stepped; needs libfaketime.
    hosts: whether one of the web processes has its own host; needs root.
    binaries, redis: the folder of another PostgreSQL's programs, and another Redis' program.
    """

    layer: str = "pubsub"
    flaw: str = ""
    clocks: bool = False
    hosts: bool = False
    binaries: Path | None = None
    redis: Path | None = None


RELAYS, WEB = ("relay-0", "relay-1"), ("web-0", "web-1")
# The web process that has its own host, if there is one.
HOSTED = WEB[1]
# Where each proxy leads, and how each process of the product connects to PostgreSQL and Redis.
PROXIES = {
    "web-postgres": "postgres",
    "web-redis": "redis",
    "relay-0-postgres": "postgres",
    "relay-1-postgres": "postgres",
}
ROUTES = {
    **{name: (f"{name}-postgres", "redis") for name in RELAYS},
    **dict.fromkeys(WEB, ("web-postgres", "web-redis")),
    "manage": ("postgres", "redis"),
}
PORT_NAMES = ("postgres", "redis", *WEB, *PROXIES)


def free_ports(count: int) -> list[int]:
    """Return free ports."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().choice(PORTS)
        if port not in found and is_free(port):
            found.append(port)
    return found
