"""Measures what Valkey spends on a message to the hubs, by sockets alone: a hub that reads would cost much more."""

import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

from benchmarks import processes
from benchmarks.scale import LEAST, Cost

# About what the relay's message holds for a change, of how many changes a large one is, and how many hubs get it.
MESSAGE_BYTES = 400
MANY = 100
HUBS = 8


def message(url: str, count: int) -> Cost:
    """Return what a message costs Valkey for each hub, for a change alone in it, and for each further one."""
    one, all_ = (_published(url, count, hubs, MESSAGE_BYTES) for hubs in (1, HUBS))
    large = _published(url, count, HUBS, MANY * MESSAGE_BYTES)
    first = max((all_ - one) / (HUBS - 1), LEAST)
    return Cost(first, max((large - all_) / HUBS / (MANY - 1), LEAST))


def _published(url: str, count: int, hubs: int, size: int) -> float:
    """Return the microseconds that Valkey spends on a message of this many bytes to so many subscribers."""
    address = urlsplit(url)
    text = b"x" * size
    command = b"*3\r\n$7\r\nPUBLISH\r\n$5\r\nbench\r\n$%d\r\n%s\r\n" % (size, text)
    arrives = len(command)  # Since "message" is as long as "PUBLISH".
    with ExitStack() as stack:
        publisher, *receivers = (
            stack.enter_context(socket.create_connection((address.hostname, address.port), 10)) for _ in range(1 + hubs)
        )
        for each in receivers:
            each.sendall(b"SUBSCRIBE bench\r\n")
            each.recv(1024)
        before = _valkey_seconds()
        for _ in range(count):
            publisher.sendall(command)
            publisher.recv(1024)
            for each in receivers:
                each.recv(arrives, socket.MSG_WAITALL)
        return (_valkey_seconds() - before) / count * 1e6


def _valkey_seconds() -> float:
    return sum(seconds for name, seconds in processes.usage([]).cpu_seconds.items() if name.startswith("valkey"))
