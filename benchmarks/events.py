"""What every party carries: rows of 200 bytes that say which they are, and when they were written.

The stamp, ``"stamp":"SEQUENCE-NANOSECONDS"``, is found in the bytes of any protocol without parsing the rest, so that
the one that reads costs little. The time is of the clock that all processes of a machine share.
"""

import json
import re
import time
from dataclasses import dataclass

STAMP = re.compile(rb'"stamp" ?: ?"(\d+)-(\d+)"')
# Longer than any stamp: what may be the beginning of one is kept until the rest comes.
STAMP_BYTES = 64
# What HTTP puts between two chunks of a body, which may be cut anywhere. Source: RFC 9112, 7.1.
BETWEEN_CHUNKS = re.compile(rb"\r\n[0-9A-Fa-f]+\r\n")
BODY = "x" * 75


@dataclass(frozen=True, slots=True)
class Event:
    """One event. n: its place in the sequence of what the run writes."""

    n: int
    written_ns: int

    @property
    def stamp(self) -> str:
        """Return it as it stands in the row."""
        return f"{self.n}-{self.written_ns}"

    def text(self) -> str:
        """Return what a party that has no tables sends: what ours makes of the row, about as long."""
        record = {"id": self.n, "owner_id": None, "stamp": self.stamp, "body": BODY}
        data = {"action": "create", "table": "bench_open", "record": record}
        return json.dumps(data, separators=(",", ":"))


def now(first: int, count: int) -> list[Event]:
    """Return events that are written now."""
    return [Event(n, time.monotonic_ns()) for n in range(first, first + count)]


class StampReader:
    """Finds the stamps in what one connection receives, however it is cut."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Return the stamps that are complete now: a sequence number and a time, each."""
        data = BETWEEN_CHUNKS.sub(b"", self._rest + data)
        found = list(STAMP.finditer(data))
        end = found[-1].end() if found else 0
        self._rest = data[max(end, len(data) - STAMP_BYTES) :]
        return [(match[1], match[2]) for match in found]
