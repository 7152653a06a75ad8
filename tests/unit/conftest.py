"""Fixtures of the tests of subscribers: a stream, and its clock."""

import asyncio
from types import SimpleNamespace

import pytest

from ayb_realtime.hub.streams import body, subscriber
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table

TABLE = Table(7, "public", "notes", ("id",), (), row_security=False, trigger=1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The stream's clock: ``clock.now`` in seconds since the epoch."""
    stub = SimpleNamespace(now=1000.0)

    def time() -> float:
        return float(stub.now)

    for module in (body, subscriber):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=time, monotonic=time))
    return stub


def make(*, buffer_bytes: int = 1000, heartbeat_seconds: float = 3600.0, expires_at: float | None = None) -> Subscriber:
    """Make a stream."""
    return Subscriber(
        Identity("ayb_authenticated", ()),
        [TABLE],
        buffer_bytes=buffer_bytes,
        heartbeat_seconds=heartbeat_seconds,
        expires_at=expires_at,
    )


async def read(stream: Subscriber) -> bytes:
    """Call ``tick`` while a reader waits; return what it reads."""
    reading = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)  # the reader waits now
    stream.tick()
    async with asyncio.timeout(30):
        return await reading


async def rest(stream: Subscriber) -> list[bytes]:
    """Read to the end of the stream."""
    async with asyncio.timeout(30):
        return [chunk async for chunk in stream]
