"""What the client of a stream is sent, in a test. ``RealtimeClient`` makes the streams."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from ayb_realtime.hub.registry import get_hub
from ayb_realtime.log.queries import Connection
from ayb_realtime.relay import leadership

TIMEOUT_SECONDS = 10.0
# How often to look for what has no signal: that the relay has numbered, or the hub delivered.
LOOK_SECONDS = 0.01

Event = dict[str, Any]


class Log:
    """The log, by a connection of the test's own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def head(self) -> int:
        """Wait until all that has committed is numbered, and return the newest position. Raises AssertionError."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while True:
                    *_, head, waiting = await leadership.status(self._connection)
                    if not waiting:
                        return head
                    await asyncio.sleep(LOOK_SECONDS)
        raise AssertionError(f"What has committed was not numbered in {TIMEOUT_SECONDS} s. {await self.leader()}")

    async def leader(self) -> str:
        """Say in a sentence whether a relay leads."""
        leader, *_ = await leadership.status(self._connection)
        return "No relay leads." if leader is None else "A relay leads."


class Stream:
    """One stream. Each event is kept until a call of ``event`` returns it."""

    def __init__(self, log: Log, chunks: AsyncIterator[bytes]) -> None:
        self._log = log
        self._chunks = chunks
        self._reading: asyncio.Future[bytes] | None = None
        self._text = b""
        self._position = 0
        self._events: list[tuple[str, Event]] = []

    async def event(
        self,
        name: str = "message",
        *,
        action: str | None = None,
        table: str | None = None,
        record: Mapping[str, Any] | None = None,
        seconds: float = TIMEOUT_SECONDS,
    ) -> Event:
        """Wait for an event like this, and return its data: ``{"action": …, "table": …, "record": {…}}``.

        name: ``message`` for a change, or ``reset``, or ``expired``.
        record: values that the record must have, among others.
        Raises AssertionError if none comes in time, or the stream ends.
        """
        fields = {"action": action, "table": table}
        wanted = {field: value for field, value in fields.items() if value is not None}
        clock = asyncio.get_running_loop().time
        deadline, goes_on = clock() + seconds, True
        while True:
            for event in self._events:
                if event[0] == name and _has(event[1], wanted) and _has(event[1].get("record", {}), record or {}):
                    self._events.remove(event)
                    return event[1]
            if not goes_on or clock() >= deadline:
                break
            goes_on = await self._read(deadline - clock())
        like = " ".join([name, *wanted.values(), *(f"{column}={value!r}" for column, value in (record or {}).items())])
        why = f"in {seconds} s" if goes_on else "before the stream ended"
        raise AssertionError(f"No such event came {why}: {like}. {self._received()} {await self._log.leader()}")

    async def assert_silent(self) -> None:
        """Wait until all that has committed is delivered; raise AssertionError if any of it came to this stream.

        Events that ``event`` has returned do not count.
        """
        head, hub = await self._log.head(), await get_hub()
        deadline = asyncio.get_running_loop().time() + TIMEOUT_SECONDS
        # A heartbeat comes after what was delivered, and has the position up to which that is all.
        while self._position < head and await self._read(LOOK_SECONDS):
            if asyncio.get_running_loop().time() >= deadline:
                raise AssertionError(f"What has committed was not delivered in {TIMEOUT_SECONDS} s.")
            hub.beat()
        if self._events or self._position < head:
            raise AssertionError(f"The stream was not silent, or has ended. {self._received()}")

    async def read_to_end(self) -> None:
        """Read to the end of the stream, once the hub has ended it."""
        while await self._read(TIMEOUT_SECONDS):
            pass

    async def _read(self, seconds: float) -> bool:
        """Read a piece, if one comes in time. Return whether the stream goes on."""
        self._reading = self._reading or asyncio.ensure_future(anext(self._chunks, b""))
        done, _ = await asyncio.wait([self._reading], timeout=seconds)
        if not done:
            return True
        if chunk := self._reading.result():
            self._reading = None
            self._parse(chunk)
        return bool(chunk)

    def _parse(self, chunk: bytes) -> None:
        *blocks, self._text = (self._text + chunk).split(b"\n\n")
        for block in blocks:
            fields = dict(line.partition(": ")[::2] for line in block.decode().split("\n"))
            self._position = int(fields.get("id", self._position))
            if "data" in fields:
                self._events.append((fields.get("event", "message"), json.loads(fields["data"])))

    def _received(self) -> str:
        if not self._events:
            return "It has received nothing else."
        return f"It has received: {', '.join(f'{name} {json.dumps(data)}' for name, data in self._events)}."


def _has(data: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(column in data and data[column] == value for column, value in wanted.items())
