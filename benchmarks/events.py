"""The events that every party carries: rows of 200 bytes that hold a sequence number and the time of writing.

The stamp, ``"stamp":"SEQUENCE-NANOSECONDS"``, can be found in the bytes of any protocol without parsing the rest, so
that reading costs little. The time is of the monotonic clock, which all processes of a machine share.
"""

import json
import re
import time
from dataclasses import dataclass

STAMP = re.compile(rb'"stamp" ?: ?"(\d+)-(\d+)"')
Stamp = tuple[bytes, bytes]
# How long browsers wait before they reconnect, unless the server says at the beginning of the stream.
RETRY_SECONDS = 3.0
RETRY = re.compile(rb"^retry: ?(\d+)$", re.MULTILINE)
RETRY_WITHIN_BYTES = 64
# What HTTP puts between two chunks of a body, which may split anywhere. Source: RFC 9112, 7.1.
BETWEEN_CHUNKS = re.compile(rb"\r\n[0-9A-Fa-f]+\r\n")
BODY = "x" * 75


@dataclass(frozen=True, slots=True)
class Event:
    """One event. n: its sequence number in the run."""

    n: int
    written_ns: int

    @property
    def stamp(self) -> str:
        """Return the stamp as the row holds it."""
        return f"{self.n}-{self.written_ns}"

    def text(self) -> str:
        """Return the text that a party without tables sends: about as long as what ours makes of the row."""
        record = {"id": self.n, "owner_id": None, "stamp": self.stamp, "body": BODY}
        data = {"action": "create", "table": "bench_open", "record": record}
        return json.dumps(data, separators=(",", ":"))


def now(first: int, count: int) -> list[Event]:
    """Return events with the current time."""
    return [Event(n, time.monotonic_ns()) for n in range(first, first + count)]


class EventReader:
    """Finds the whole events in what one connection receives, wherever that is split: their stamps, and the newest id.

    last_id: the id of the newest whole event that had one.
    retry_seconds: how long the client waits before it reconnects.
    resets: how many events said that something was lost.
    """

    def __init__(self) -> None:
        self.last_id = b""
        self.retry_seconds = RETRY_SECONDS
        self.resets = 0
        self._rest = b""

    def read(self, data: bytes) -> list[Stamp]:
        """Return the stamps of the events that these bytes complete."""
        data = BETWEEN_CHUNKS.sub(b"", self._rest + data)
        end = data.rfind(b"\n\n") + 1
        if not end:
            self._rest = data
            return []
        whole, self._rest = data[:end], data[end:]
        if (at := whole.rfind(b"\nid:")) >= 0:
            self.last_id = whole[at + 4 : whole.index(b"\n", at + 4)].strip()
        if found := RETRY.search(whole, 0, RETRY_WITHIN_BYTES):
            self.retry_seconds = int(found[1]) / 1000
        self.resets += whole.count(b"\nevent: reset\n")
        return STAMP.findall(whole)

    def forget_rest(self) -> None:
        """Forget the incomplete event that a connection ended with."""
        self._rest = b""
