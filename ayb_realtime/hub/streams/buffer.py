"""The bytes that wait for one client: chunks of whole events go in, pieces come out. Pure."""

import math
from collections.abc import Iterable, Sequence
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


class Waiting:
    """How much waits in all buffers of the process. A chunk that several have counts once."""

    def __init__(self) -> None:
        self.limit_bytes = math.inf
        self.size = 0
        # In how many buffers each chunk is, by its id: as long as it is in one, no other has that.
        self._shares: dict[int, int] = {}

    @property
    def is_full(self) -> bool:
        """Whether no more should wait."""
        return self.size >= self.limit_bytes

    def add(self, chunk: bytes) -> None:
        """Count a chunk that is put into a buffer."""
        shares = self._shares.get(id(chunk), 0)
        self._shares[id(chunk)] = shares + 1
        if not shares:
            self.size += len(chunk)

    def remove(self, chunks: Iterable[bytes]) -> None:
        """Count chunks no more that are taken out of a buffer."""
        for chunk in chunks:
            shares = self._shares.pop(id(chunk)) - 1
            if shares:
                self._shares[id(chunk)] = shares
            else:
                self.size -= len(chunk)


waiting = Waiting()


class Buffer:
    """A bounded queue of chunks. Streams that see the same share each chunk, and each piece of a large one.

    limit_bytes: how much may wait. A chunk on its way out, a greeting and last words do not count. But they do in the
        process, where the limit is for all buffers together.
    """

    __slots__ = ("_begun", "_chunks", "_free", "_limit_bytes", "_rest", "_size")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._chunks: list[bytes] = []
        # How large the chunks are, and how much of that does not count.
        self._size = self._free = 0
        # A large chunk that was begun, and its pieces that are left.
        self._begun: Sequence[LargeChunk] = ()
        self._rest: Sequence[bytes] = ()

    def __del__(self) -> None:
        self.clear()

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

        A chunk that is larger than the limit is taken if nothing else waits. So if too much waits in the process, that
        ends the streams whose clients have not read what they had before.
        """
        before = self._size - self._free
        if before and (before + len(chunk) > self._limit_bytes or waiting.is_full):
            return False
        self._chunks.append(chunk)
        self._size += len(chunk)
        waiting.add(chunk)
        return True

    def prepend(self, chunk: bytes) -> None:
        """Add a greeting before everything else. There is always room for it."""
        self._chunks.insert(0, chunk)
        self._size += len(chunk)
        self._free += len(chunk)
        waiting.add(chunk)

    def push_last(self, chunk: bytes) -> None:
        """Add last words, after which nothing comes. There is always room for them."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._free += len(chunk)
        waiting.add(chunk)

    def clear(self) -> None:
        """Drop everything."""
        waiting.remove((*self._chunks, *self._begun))
        self._chunks.clear()
        self._begun = self._rest = ()
        self._size = self._free = 0

    def take(self) -> bytes:
        """Return as many chunks as fit into a piece, or the next piece of a large chunk. Not to be called if empty."""
        if not self._rest:
            taken = shareable(self._take_chunks())
            if not isinstance(taken, LargeChunk):
                return taken
            self._begun, self._rest = (taken,), taken.pieces
            waiting.add(taken)
        piece, self._rest = self._rest[0], self._rest[1:]
        if not self._rest:
            waiting.remove(self._begun)
            self._begun = ()
        return piece

    def _take_chunks(self) -> bytes:
        """Take the first chunk out, and those after it that fit into a piece with it."""
        count, size = 1, len(self._chunks[0])
        while count < len(self._chunks) and size + len(self._chunks[count]) <= PIECE_BYTES:
            size += len(self._chunks[count])
            count += 1
        taken = self._chunks[0] if count == 1 else b"".join(self._chunks[:count])
        waiting.remove(self._chunks[:count])
        del self._chunks[:count]
        self._size -= size
        # A greeting is short and comes first, so it has gone; nothing comes after last words.
        self._free = 0
        return taken
