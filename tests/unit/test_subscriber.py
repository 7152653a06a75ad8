"""A stream: what the hub puts in comes out in order."""

import asyncio
import random
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ayb_realtime.hub.streams.buffer import PIECE_BYTES, shareable
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.wire import sse
from tests.unit.conftest import TABLE, make, read, rest


async def test_chunks_that_wait_come_out_together_in_order() -> None:
    stream = make()
    stream.push(b"a")
    stream.push(b"b")
    assert await anext(stream) == b"ab"


async def test_chunk_wakes_a_waiting_reader() -> None:
    stream = make()
    for chunk in (b"first", b"second"):
        reading = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)  # the reader waits now
        assert not reading.done()
        stream.push(chunk)
        async with asyncio.timeout(30):
            assert await reading == chunk


async def test_silence_makes_a_heartbeat(clock: SimpleNamespace) -> None:
    stream = make(heartbeat_seconds=15.0)
    reading = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    clock.now += 14.9
    stream.tick()
    await asyncio.sleep(0)
    assert not reading.done()
    clock.now += 0.1
    stream.tick()
    assert await reading == sse.heartbeat(0)
    stream.push(b"event")
    assert await anext(stream) == b"event"


async def test_each_chunk_restarts_the_silence(clock: SimpleNamespace) -> None:
    stream = make(heartbeat_seconds=15.0)
    clock.now += 10.0
    stream.push(b"event")
    assert await anext(stream) == b"event"
    reading = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    clock.now += 10.0
    stream.tick()
    await asyncio.sleep(0)
    assert not reading.done()
    stream.end()
    with pytest.raises(StopAsyncIteration):
        await reading


async def test_empty_chunk_is_no_end_of_the_silence() -> None:
    stream = make(heartbeat_seconds=0.0)
    stream.push(b"")
    assert await read(stream) == sse.heartbeat(0)


async def test_greeting_comes_first_and_takes_no_room() -> None:
    stream = make(buffer_bytes=5)
    stream.push(b"event")
    stream.prepend(b"welcome ")
    assert await anext(stream) == b"welcome event"
    stream.prepend(b"again")
    assert stream.is_caught_up


async def test_those_with_equal_tables_share_them() -> None:
    one, other = make(), make()
    other.set_tables([replace(TABLE)])
    for stream in (one, other):
        stream.set_baseline(1)
    assert one.tables is other.tables
    assert one.relations is other.relations
    assert one.triggers is other.triggers


async def test_read_buffer_has_room_again() -> None:
    stream = make(buffer_bytes=10)
    for chunk in (b"1234567890", b"abcdefghij"):
        stream.push(chunk)
        assert await anext(stream) == chunk
    assert not stream.ended


async def test_chunk_larger_than_the_buffer_passes_alone() -> None:
    stream = make(buffer_bytes=10)
    stream.push(b"x" * 100)
    assert not stream.ended
    assert await anext(stream) == b"x" * 100
    stream.push(b"a")
    stream.push(b"x" * 100)
    assert stream.ended
    assert await rest(stream) == [b"a"]


async def test_large_chunk_goes_out_in_pieces_and_is_caught_up_after_the_last() -> None:
    stream = make(buffer_bytes=10 * PIECE_BYTES)
    caught_up: list[bool] = []
    stream.on_caught_up = lambda: caught_up.append(True)
    large = random.Random(1).randbytes(5 * PIECE_BYTES + 7)
    stream.prepend(b"welcome ")
    stream.push(large)
    stream.push(b" and more")
    pieces = []
    while not caught_up:
        assert not stream.is_caught_up
        pieces.append(await anext(stream))
    assert b"".join(pieces) == b"welcome " + large + b" and more"
    assert max(map(len, pieces)) <= PIECE_BYTES
    assert stream.is_caught_up


async def test_clients_that_do_not_read_share_large_chunks_and_their_pieces() -> None:
    larges = [shareable(bytes([65 + n]) * 500_000) for n in range(8)]
    streams = [(make(), n % 8) for n in range(80)]
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    handed_out = []
    for stream, n in streams:
        stream.prepend(b"welcome ")
        stream.push(larges[n])
        handed_out += [await anext(stream), await anext(stream)]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert max(map(len, handed_out)) <= PIECE_BYTES
    assert len({id(piece) for piece in handed_out[1::2]}) == 8
    # The pieces, once.
    assert after - before < 1.1 * sum(map(len, larges))


async def test_what_waits_behind_a_large_chunk_is_what_the_buffer_holds() -> None:
    stream = make(buffer_bytes=10)
    stream.push(b"x" * 3 * PIECE_BYTES)
    await anext(stream)
    stream.push(b"1234567890")
    assert not stream.ended
    stream.push(b"1")
    assert stream.ended
    assert b"".join(await rest(stream)) == b"x" * 2 * PIECE_BYTES + b"1234567890"


async def test_stream_whose_client_has_gone_holds_nothing() -> None:
    stream = make(buffer_bytes=10)
    stream.prepend(b"welcome")
    stream.push(b"x" * 3 * PIECE_BYTES)
    await anext(stream)
    await anext(stream)
    stream.abandon()
    stream.push(b"more")
    assert await rest(stream) == []


async def test_buffer_says_when_it_is_caught_up() -> None:
    stream = make()
    caught_up: list[bool] = []
    stream.on_caught_up = lambda: caught_up.append(stream.is_caught_up)
    assert stream.is_caught_up
    stream.push(b"a")
    assert not stream.is_caught_up
    assert caught_up == []
    await anext(stream)
    assert caught_up == [True]


async def test_reset_names_those_of_the_tables_and_the_position() -> None:
    stream = make()
    stream.set_baseline(42)
    stream.reset(ResetReason.TRUNCATED, {8})
    stream.reset(ResetReason.TRUNCATED, {7, 8})
    assert await anext(stream) == b'id: 42\nevent: reset\ndata: {"reason":"table truncated","tables":["notes"]}\n\n'
    assert stream.is_caught_up


async def test_reading_is_noticed(clock: SimpleNamespace) -> None:
    stream = make(heartbeat_seconds=0.0)
    clock.now = 1234.0
    assert stream.read_at < 1234.0
    await read(stream)
    assert stream.read_at == 1234.0


def test_every_stream_has_a_name_of_its_own() -> None:
    assert len({make().client_id for _ in range(100)}) == 100
