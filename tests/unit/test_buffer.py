"""A client's buffer: what goes in comes out in order, in pieces, and it never holds more than its limit."""

import gc
import math
import random
from collections.abc import Iterator

import pytest

from ayb_realtime.hub.streams.buffer import PIECE_BYTES, Buffer, LargeChunk, shareable, waiting


@pytest.fixture(autouse=True)
def nothing_waits() -> None:
    """Free what other tests have left, which counts until then."""
    gc.collect()


def everything(buffer: Buffer) -> bytes:
    """Take all that is in a buffer."""
    taken = b""
    while not buffer.is_empty:
        taken += buffer.take()
    return taken


def test_new_buffer_is_empty_and_caught_up() -> None:
    assert Buffer(10).is_empty
    assert Buffer(10).is_caught_up


@pytest.mark.parametrize(
    ("sizes", "fit"),
    [((10,), True), ((5, 5), True), ((5, 6), False), ((100,), True), ((1, 100), False), ((100, 1), False)],
)
def test_chunk_has_room_up_to_the_limit_or_alone(sizes: tuple[int, ...], fit: bool) -> None:
    buffer = Buffer(10)
    assert [buffer.push(b"x" * size) for size in sizes] == [True] * (len(sizes) - 1) + [fit]
    assert len(everything(buffer)) == sum(sizes if fit else sizes[:-1])


def test_greeting_and_last_words_always_have_room_and_take_none() -> None:
    buffer = Buffer(4)
    assert buffer.push(b"data")
    buffer.prepend(b"welcome ")
    buffer.push_last(b" bye")
    assert not buffer.is_caught_up
    assert everything(buffer) == b"welcome data bye"
    buffer.prepend(b"welcome")
    assert buffer.is_caught_up
    assert not buffer.is_empty
    assert buffer.push(b"data")


def test_chunk_on_its_way_out_does_not_count() -> None:
    buffer = Buffer(10)
    assert buffer.push(b"x" * 3 * PIECE_BYTES)
    assert len(buffer.take()) == PIECE_BYTES
    assert buffer.push(b"1234567890")
    assert not buffer.push(b"1")
    assert not buffer.is_caught_up


def test_cleared_buffer_holds_nothing_of_a_chunk_that_was_begun() -> None:
    buffer = Buffer(10)
    buffer.push(b"x" * 3 * PIECE_BYTES)
    buffer.take()
    buffer.push(b"more")
    buffer.clear()
    assert buffer.is_empty
    assert buffer.is_caught_up


@pytest.mark.parametrize("seed", range(20))
def test_what_had_room_comes_out_in_order_in_pieces(seed: int) -> None:
    chance = random.Random(seed)
    buffer, put, taken = Buffer(2 * PIECE_BYTES), b"", b""
    for _ in range(60):
        if chance.random() < 0.6:
            chunk = chance.randbytes(chance.choice([1, 100, PIECE_BYTES // 2, PIECE_BYTES, 2 * PIECE_BYTES + 1]))
            if buffer.push(chunk):
                put += chunk
        elif not buffer.is_empty:
            piece = buffer.take()
            assert 0 < len(piece) <= PIECE_BYTES
            taken += piece
        assert buffer.is_caught_up == (len(taken) == len(put))
    assert taken + everything(buffer) == put


@pytest.fixture
def limit_of_the_process() -> Iterator[int]:
    """What may wait in all buffers together: ten bytes more than now."""
    waiting.limit_bytes = waiting.size + 10
    yield 10
    waiting.limit_bytes = math.inf


@pytest.mark.usefixtures("limit_of_the_process")
def test_process_that_is_full_has_room_only_for_those_who_have_read_what_they_had() -> None:
    lags, reads, new = Buffer(100), Buffer(100), Buffer(100)
    assert lags.push(b"x" * 9)
    assert lags.push(b"y")
    assert reads.push(b"12")
    assert not lags.push(b"z")
    reads.take()
    assert reads.push(b"34")
    assert new.push(b"5")
    assert not new.push(b"6")
    lags.clear()
    assert new.push(b"6")


def test_chunk_that_many_have_counts_once_in_the_process_until_the_last_has_taken_it() -> None:
    before, chunk = waiting.size, bytes(bytearray(1000))
    buffers = [Buffer(10_000) for _ in range(3)]
    for buffer in buffers:
        buffer.prepend(bytes(bytearray(10)))
        assert buffer.push(chunk)
    assert waiting.size - before == 1030
    for buffer, left in zip(buffers, (1020, 1010, 0), strict=True):
        everything(buffer)
        assert waiting.size - before == left


def test_large_chunk_counts_in_the_process_until_its_last_piece_is_taken() -> None:
    before, chunk = waiting.size, shareable(b"x" * 3 * PIECE_BYTES)
    assert isinstance(chunk, LargeChunk)
    buffers = [Buffer(10) for _ in range(2)]
    for buffer in buffers:
        assert buffer.push(chunk)
        buffer.take()
    assert waiting.size - before == 3 * PIECE_BYTES
    everything(buffers[0])
    assert waiting.size - before == 3 * PIECE_BYTES
    del buffers, buffer
    gc.collect()
    assert waiting.size == before
