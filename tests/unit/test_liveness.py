"""Silent streams get heartbeats; streams whose clients have gone end."""

import asyncio
from types import SimpleNamespace

import pytest

from ayb_realtime.hub.lifetime import liveness
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.wire import sse
from tests.unit.conftest import make


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


async def test_sweep_ticks_only_streams_that_are_silent_or_expired_or_are_owed_resets(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticked: list[Subscriber] = []
    monkeypatch.setattr(Subscriber, "tick", lambda stream: ticked.append(stream))
    monkeypatch.setattr(liveness, "time", SimpleNamespace(monotonic=lambda: clock.now))
    expiring, silent, owed = make(expires_at=clock.now + 5), make(heartbeat_seconds=10.0), make()
    owed.may_reset(7)
    clock.now += 4
    liveness.sweep([expiring, silent, owed, make()], ticked.append)
    assert ticked == [owed]
    clock.now += 1
    liveness.sweep([expiring, silent, make()], ticked.append)
    assert ticked == [owed, expiring]
    clock.now += 5
    liveness.sweep([silent, make(expires_at=clock.now + 0.1)], ticked.append)
    assert ticked == [owed, expiring, silent]


async def test_silent_stream_gets_a_heartbeat_each_time_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "TICK_SECONDS", 0.0)
    stream = make(heartbeat_seconds=0.0)
    sweeping = asyncio.create_task(liveness.run(lambda: [stream], lambda _: None))
    async with asyncio.timeout(30):
        assert [await anext(stream) for _ in range(3)] == [sse.heartbeat(0)] * 3
    sweeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweeping
