"""The bytes that wait for one client: chunks of whole events go in, pieces come out. Pure."""

from collections.abc import Sequence
from functools import cached_property

# The most that is handed to the server at once, which copies it for each client and holds it until that client reads.
PIECE_BYTES = 24 * 1024


class LargeChunk(bytes):
    """Whole events that do not fit into one piece. All streams that are given it share the pieces."""

    @cached_property
    def pieces(self) -> Sequence[bytes]:
        """What is handed out, one after the other."""
        return tuple([self[at : at + PIECE_BYTES] for at in range(0, len(self), PIECE_BYTES)])


def shareable(chunk: bytes) -> bytes:
    """Return a chunk as it is to be put into the buffers of several streams."""
    return LargeChunk(chunk) if len(chunk) > PIECE_BYTES and not isinstance(chunk, LargeChunk) else chunk


class Buffer:
    """A bounded queue of chunks. Streams that see the same share each chunk, and each piece of a large one.

    limit_bytes: how much may wait. A chunk on its way out, a greeting and last words do not count.
    """

    __slots__ = ("_chunks", "_free", "_limit_bytes", "_rest", "_size")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._chunks: list[bytes] = []
        # How large the chunks are, and how much of that does not count.
        self._size = self._free = 0
        # The pieces that are left of a large chunk that was begun.
        self._rest: Sequence[bytes] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to take."""
        return not self._rest and not self._chunks

    @property
    def is_caught_up(self) -> bool:
        """Whether there is nothing to take but a greeting or last words."""
        return self._size == self._free and not self._rest

    def push(self, chunk: bytes) -> bool:
        """Add whole events; return whether there was room.

        A chunk that is larger than the limit is taken if nothing else waits.
        """
        waiting = self._size - self._free
        if waiting and waiting + len(chunk) > self._limit_bytes:
            return False
        self._chunks.append(chunk)
        self._size += len(chunk)
        return True

    def prepend(self, chunk: bytes) -> None:
        """Add a greeting before everything else. There is always room for it."""
        self._chunks.insert(0, chunk)
        self._size += len(chunk)
        self._free += len(chunk)

    def push_last(self, chunk: bytes) -> None:
        """Add last words, after which nothing comes. There is always room for them."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._free += len(chunk)

    def clear(self) -> None:
        """Drop everything."""
        self._chunks.clear()
        self._rest = ()
        self._size = self._free = 0

    def take(self) -> bytes:
        """Return as many chunks as fit into a piece, or the next piece of a large chunk. Not to be called if empty."""
        if not self._rest:
            taken = shareable(self._take_chunks())
            if not isinstance(taken, LargeChunk):
                return taken
            self._rest = taken.pieces
        piece, self._rest = self._rest[0], self._rest[1:]
        return piece

    def _take_chunks(self) -> bytes:
        """Take the first chunk out, and those after it that fit into a piece with it."""
        count, size = 1, len(self._chunks[0])
        while count < len(self._chunks) and size + len(self._chunks[count]) <= PIECE_BYTES:
            size += len(self._chunks[count])
            count += 1
        taken = self._chunks[0] if count == 1 else b"".join(self._chunks[:count])
        del self._chunks[:count]
        self._size -= size
        # A greeting is short and comes first, so it has gone; nothing comes after last words.
        self._free = 0
        return taken
