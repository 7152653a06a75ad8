"""A sink takes chunks while the reader waits. Otherwise, and if it has no room, they go through the buffer."""

import asyncio
from types import SimpleNamespace

from ayb_realtime.hub.streams.buffer import PIECE_BYTES
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.wire import sse
from ayb_realtime.wire.events import expired_event
from tests.unit.conftest import make


class Sink:
    """A sink with room, or without."""

    def __init__(self, stream: Subscriber) -> None:
        self.has_room = True
        self.written: list[bytes] = []
        stream.sink = self

    def write(self, chunk: bytes) -> bool:
        """Note a chunk for which there is room."""
        if self.has_room:
            self.written.append(chunk)
        return self.has_room


async def waiting(stream: Subscriber) -> "asyncio.Task[bytes]":
    """Let a reader wait."""
    reading = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    assert not reading.done()
    return reading


async def test_sink_takes_chunks_while_the_reader_waits(clock: SimpleNamespace) -> None:
    stream = make()
    sink = Sink(stream)
    stream.push(b"before")
    assert await anext(stream) == b"before"
    reading = await waiting(stream)
    clock.now = 1234.0
    stream.push(b"one ")
    stream.push(b"two")
    assert sink.written == [b"one ", b"two"]
    assert stream.is_caught_up
    assert stream.read_at == 1234.0
    sink.has_room = False
    clock.now = 1235.0
    stream.push(b"three ")
    sink.has_room = True
    # The reader has been woken.
    stream.push(b"four")
    assert await reading == b"three four"
    assert sink.written == [b"one ", b"two"]
    assert stream.read_at == 1234.0


async def test_large_chunk_goes_through_the_buffer() -> None:
    stream = make()
    sink = Sink(stream)
    reading = await waiting(stream)
    stream.push(b"x" * PIECE_BYTES)
    stream.push(b"y" * (PIECE_BYTES + 1))
    assert await reading == b"y" * PIECE_BYTES
    assert await anext(stream) == b"y"
    assert sink.written == [b"x" * PIECE_BYTES]


async def test_silent_stream_gets_its_heartbeat_through_the_sink(clock: SimpleNamespace) -> None:
    stream = make(heartbeat_seconds=15.0)
    sink = Sink(stream)
    reading = await waiting(stream)
    stream.position = 7
    for _ in range(3):
        clock.now += 14.0
        stream.tick()
        clock.now += 1.0
        stream.tick()
        stream.tick()
    assert sink.written == [sse.heartbeat(7)] * 3
    assert sink.written[0] is sink.written[1]
    sink.has_room = False
    clock.now += 15.0
    stream.tick()
    assert await reading == sse.heartbeat(7)


async def test_stream_that_has_expired_ends_by_its_reader(clock: SimpleNamespace) -> None:
    stream = make(expires_at=1010.0)
    sink = Sink(stream)
    reading = await waiting(stream)
    clock.now = 1009.0
    stream.push(b"in time")
    clock.now = 1010.0
    stream.tick()
    assert await reading == expired_event()
    assert stream.ended
    assert sink.written == [b"in time"]


async def test_stream_that_has_ended_writes_no_more() -> None:
    stream = make()
    sink = Sink(stream)
    reading = await waiting(stream)
    stream.end(b"last")
    stream.push(b"too late")
    stream.tick()
    assert await reading == b"last"
    assert sink.written == []
