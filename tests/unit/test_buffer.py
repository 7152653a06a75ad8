"""A client's buffer: what goes in comes out in order, in pieces, and it never holds more than its limit."""

import random

import pytest

from ayb_realtime.hub.buffer import PIECE_BYTES, Buffer


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
