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
