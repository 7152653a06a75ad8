"""Silent streams get heartbeats; streams whose clients have gone end."""

import asyncio

import pytest

from ayb_realtime.hub import liveness
from ayb_realtime.hub.subscriber import Subscriber
from ayb_realtime.identity import Identity
from ayb_realtime.wire import sse


def make() -> Subscriber:
    """Make a stream that sends no heartbeats."""
    return Subscriber(Identity("ayb_authenticated", ()), [], buffer_bytes=1000, heartbeat_seconds=3600.0)


async def test_client_that_has_read_nothing_for_long_is_let_go_and_a_silent_one_is_not() -> None:
    here, gone = make(), make()
    reading = asyncio.create_task(anext(here))
    await asyncio.sleep(0)
    here.read_at -= liveness.CLIENT_GONE_SECONDS - 1
    gone.read_at -= liveness.CLIENT_GONE_SECONDS + 1
    left: list[Subscriber] = []
    liveness.sweep([here, gone], left.append)
    assert left == [gone]
    assert not reading.done()
    here.end()
    with pytest.raises(StopAsyncIteration):
        await reading


async def test_silent_stream_gets_a_heartbeat_each_time_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "TICK_SECONDS", 0.0)
    stream = Subscriber(Identity("ayb_authenticated", ()), [], buffer_bytes=1000, heartbeat_seconds=0.0)
    sweeping = asyncio.create_task(liveness.run(lambda: [stream], lambda _: None))
    async with asyncio.timeout(30):
        assert [await anext(stream) for _ in range(3)] == [sse.heartbeat(0)] * 3
    sweeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweeping
