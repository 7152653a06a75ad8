"""One open stream: a bounded buffer that the hub fills and the response empties."""

import asyncio
import time
from collections.abc import Callable, Container, Iterable, Sequence
from functools import lru_cache
from uuid import uuid4

from ayb_realtime.hub.resets import Resets
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table, intern_tables
from ayb_realtime.wire import sse
from ayb_realtime.wire.events import expired_event, reset_event

# At most so much is handed to the server at once, which copies it for each client and holds it until that reads.
PIECE_BYTES = 64 * 1024
UNCHECKED = "row could not be checked"


class Subscriber:
    """A stream in pieces, as an async iterator. Chunks of whole events go in, which all who see the same share.

    It ends when it is told to, when its token expires, and when its client reads so slowly that the buffer is full: the
    client then reconnects and resumes, so that no event is dropped without a word.

    identity: who it is to Postgres.
    tables: the tables that it names.
    triggers: those of its tables where the client has fetched, or will, what is in a table since that was enabled.
    position: everything up to it has been put into the buffer.
    expires_at: when the token expires, in seconds since the epoch; None: never.
    """

    # Thousands wait at a time.
    __slots__ = (
        "_buffer_bytes",
        "_chunks",
        "_expires_at",
        "_free",
        "_heartbeat_seconds",
        "_resets",
        "_rest",
        "_size",
        "_waiting",
        "client_id",
        "ended",
        "identity",
        "on_drained",
        "position",
        "read_at",
        "relations",
        "tables",
        "triggers",
    )

    def __init__(
        self,
        identity: Identity,
        tables: Iterable[Table],
        *,
        buffer_bytes: int,
        heartbeat_seconds: float,
        expires_at: float | None = None,
    ) -> None:
        self.client_id = uuid4().hex
        self.identity = identity
        self.set_tables(tables)
        self.triggers: frozenset[int] = frozenset()
        self.position = 0
        self._buffer_bytes = buffer_bytes
        self._heartbeat_seconds = heartbeat_seconds
        self._expires_at = expires_at
        self._chunks: list[bytes] = []
        # How large they are, and how much of that takes no room.
        self._size = self._free = 0
        # Of a large chunk that was begun, what has not been handed out.
        self._rest: Sequence[bytes] = ()
        # Of rows that could not be checked: most streams have none.
        self._resets: Resets | None = None
        # What the reader waits for, while it waits.
        self._waiting: asyncio.Future[None] | None = None
        # Called when the buffer has become empty.
        self.on_drained: Callable[[], None] | None = None
        self.ended = False
        self.read_at = time.monotonic()

    def set_tables(self, tables: Iterable[Table]) -> None:
        """Subscribe to these tables, and to no others."""
        self.tables, self.relations, _ = intern_tables(tuple(tables))

    def set_baseline(self, position: int) -> None:
        """Take a client to know what its tables hold, or to fetch it now, up to this position."""
        self.position = position
        _, _, self.triggers = intern_tables(self.tables)

    def prepend(self, chunk: bytes) -> None:
        """Put this before everything else; it always has room."""
        self._chunks.insert(0, chunk)
        self._size += len(chunk)
        self._free += len(chunk)

    def push(self, chunk: bytes) -> None:
        """Put whole events into the buffer; where it is full, end the stream.

        One that is larger than the buffer is taken where nothing else waits: it is not copied.
        """
        if self.ended or not chunk:
            return
        if self._resets is not None and self._resets.owed:
            # If the client leaves before it is told, it comes back to where it was before.
            chunk = sse.without_ids(chunk)
        waiting = self._size - self._free
        if waiting and waiting + len(chunk) > self._buffer_bytes:
            self.end()
            return
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._wake()

    def reset(self, reason: str, relations: Container[int]) -> None:
        """Tell the client to fetch its tables among these again, and then to go on after ``position``."""
        if names := [table.name for table in self.tables if table.relation in relations]:
            self.push(reset_event(reason, names, self.position))

    def may_reset(self, relation: int) -> bool:
        """Tell whether to send a reset of a table now, since rows could not be checked; else ``tick`` does, soon."""
        self._resets = self._resets or Resets()
        return self._resets.may_send(relation)

    def end(self, last_words: bytes = b"") -> None:
        """End the stream after what is in the buffer, and after these; they always have room. May be called again."""
        if last_words and not self.ended:
            self._chunks.append(last_words)
            self._size += len(last_words)
            self._free += len(last_words)
        self.ended = True
        self._wake()

    def abandon(self) -> None:
        """End the stream of a client that has gone, and hold no more for it. May be called again."""
        self._chunks.clear()
        self._rest = ()
        self._size = self._free = 0
        self.end()

    @property
    def is_drained(self) -> bool:
        """Whether everything has been handed out, but for a greeting or last words."""
        return self._size == self._free and not self._rest

    def __aiter__(self) -> "Subscriber":
        return self

    async def __anext__(self) -> bytes:
        """Wait for events, and return a piece of what is there; after a silence that ``tick`` ends, a heartbeat."""
        self.read_at = time.monotonic()
        if not self._rest and not self._chunks and not self.ended:
            await self._wait()
        if not self.ended and self._has_expired():
            self.end(expired_event())
        if self._rest or self._chunks:
            return self._take()
        if self.ended:
            raise StopAsyncIteration
        return sse.heartbeat(None if self._resets is not None and self._resets.owed else self.position)

    def tick(self) -> None:
        """End a wait that has lasted for as long as a stream may be silent, or its token does; tell what is owed.

        To be called about once a second. A timer of its own would cost each stream more than all else it has.
        """
        if self._resets is not None:
            self.reset(UNCHECKED, self._resets.take_due())
        if time.monotonic() - self.read_at >= self._heartbeat_seconds or self._has_expired():
            self._wake()

    def _has_expired(self) -> bool:
        return self._expires_at is not None and time.time() >= self._expires_at

    async def _wait(self) -> None:
        # A future: an Event within a timeout costs more than twice as much, for every chunk of every stream.
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _take(self) -> bytes:
        """Return as many chunks as fit into a piece, or the next piece of one that does not."""
        if not self._rest:
            chunk = self._take_chunks()
            self._rest = _pieces(chunk) if len(chunk) > PIECE_BYTES else (chunk,)
        taken, self._rest = self._rest[0], self._rest[1:]
        if self.is_drained and self.on_drained is not None:
            self.on_drained()
        return taken

    def _take_chunks(self) -> bytes:
        """Take the first chunk out of the buffer, with those behind it as far as they fit into a piece with it."""
        count, size = 1, len(self._chunks[0])
        while count < len(self._chunks) and size + len(self._chunks[count]) <= PIECE_BYTES:
            size += len(self._chunks[count])
            count += 1
        taken = b"".join(self._chunks[:count])
        del self._chunks[:count]
        self._size -= size
        # A greeting comes first and is short; behind last words comes nothing.
        self._free = 0
        return taken


@lru_cache(maxsize=4)
def _pieces(chunk: bytes) -> Sequence[bytes]:
    """Cut a chunk, once for all who take it about now: of thousands each holds a piece until its client reads."""
    return tuple([chunk[at : at + PIECE_BYTES] for at in range(0, len(chunk), PIECE_BYTES)])
