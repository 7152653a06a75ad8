"""How a stream ends: always after what is in its buffer."""

import asyncio
import gc
from types import SimpleNamespace

import pytest

from ayb_realtime.hub.streams.buffer import waiting
from ayb_realtime.wire.events import expired_event
from tests.unit.conftest import make, read, rest


async def test_end_comes_after_what_is_in_the_buffer() -> None:
    stream = make()
    stream.push(b"last")
    stream.end()
    stream.push(b"too late")
    assert await rest(stream) == [b"last"]


async def test_end_wakes_a_waiting_reader() -> None:
    stream = make()
    reading = asyncio.create_task(rest(stream))
    await asyncio.sleep(0)
    stream.end()
    assert await reading == []


async def test_full_buffer_ends_the_stream_after_what_fitted() -> None:
    stream = make(buffer_bytes=10)
    stream.push(b"123456")
    stream.push(b"7890")
    assert not stream.ended
    stream.push(b"x")
    assert stream.ended
    stream.push(b"y")
    assert await rest(stream) == [b"1234567890"]


async def test_expired_token_ends_a_silent_stream(clock: SimpleNamespace) -> None:
    stream = make(expires_at=clock.now)
    assert await read(stream) == expired_event()
    assert await rest(stream) == []


async def test_wait_lasts_no_longer_than_the_token(clock: SimpleNamespace) -> None:
    stream = make(expires_at=1002.0)
    reading = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    clock.now = 1001.9
    stream.tick()
    await asyncio.sleep(0)
    assert not reading.done()
    clock.now = 1002.0
    stream.tick()
    assert await reading == expired_event()
    assert await rest(stream) == []


async def test_expired_token_ends_a_stream_that_is_never_silent(clock: SimpleNamespace) -> None:
    stream = make(expires_at=1002.0)
    chunks = []
    for now in (1000.0, 1001.0, 1002.0):
        clock.now = now
        stream.push(b"event\n\n")
        chunks.append(await anext(stream))
        stream.push(b"more\n\n")
    assert chunks == [b"event\n\n", b"more\n\nevent\n\n", b"more\n\nevent\n\n" + expired_event()]
    assert await rest(stream) == []


async def test_stream_that_was_ended_says_nothing_of_its_token(clock: SimpleNamespace) -> None:
    stream = make(expires_at=clock.now)
    stream.push(b"last")
    stream.end()
    assert await rest(stream) == [b"last"]


async def test_last_words_come_after_what_waits_even_where_the_buffer_is_full_and_only_once() -> None:
    stream = make(buffer_bytes=5)
    stream.push(b"event")
    stream.end(b"last")
    stream.end(b"too late")
    assert await rest(stream) == [b"eventlast"]


async def test_stream_that_lags_drops_what_waits_if_the_process_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, other = make(), make()
    stream.push(b"lags")
    gc.collect()  # What other tests have left counts until then.
    monkeypatch.setattr(waiting, "limit_bytes", waiting.size)
    stream.push(b"more")
    assert stream.ended
    assert await rest(stream) == []
    other.push(b"reads")
    assert not other.ended
    assert await read(other) == b"reads"
