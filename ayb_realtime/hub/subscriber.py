"""One open stream: the hub fills its buffer, and the response empties it."""

import asyncio
import time
from collections.abc import Callable, Container, Iterable
from uuid import uuid4

from ayb_realtime.hub.buffer import PIECE_BYTES, Buffer
from ayb_realtime.hub.endings import Ending, endings
from ayb_realtime.hub.unanswered_resets import UnansweredResets
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table, intern_tables
from ayb_realtime.proofs import Proof
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.sinks import NO_SINK, Sink
from ayb_realtime.wire import sse
from ayb_realtime.wire.events import expired_event, reset_event


class Subscriber:
    """One stream, as an async iterator of pieces.

    No event is dropped silently: a stream whose buffer is full ends, and its client comes back and resumes.

    identity: who the client is to Postgres.
    tables, relations: the tables of the stream, and their oids.
    triggers: those that its tables had when the client last fetched them. An ENABLE with another one means that the
        table was made again.
    position: everything up to it is in the buffer, or has been read.
    read_at: when the server last asked for a piece, or its sink last took one, in seconds of the monotonic clock.
    sink: takes chunks while the reader waits, so that they do not need the reader.
    ended: whether the stream ends after what is in the buffer.
    on_caught_up: called each time that the buffer has become empty.
    proofs, expires_at: what has to remain true while the stream is open, and until when, in seconds since the epoch.
    """

    # Positions after ``position`` whose changes the client knows of all the same, from a snapshot.
    told: tuple[range, ...] = ()

    __slots__ = (  # Thousands wait at a time.
        "_buffer",
        "_heartbeat_seconds",
        "_unanswered_resets",
        "_waiting",
        "client_id",
        "ended",
        "expires_at",
        "identity",
        "on_caught_up",
        "position",
        "proofs",
        "read_at",
        "relations",
        "sink",
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
        proofs: Iterable[Proof] = (),
    ) -> None:
        self.client_id = uuid4().hex
        self.identity = identity
        self.proofs = tuple(proofs)
        self.set_tables(tables)
        self.triggers: frozenset[int] = frozenset()
        self.position = 0
        self._buffer = Buffer(buffer_bytes)
        self._heartbeat_seconds = heartbeat_seconds
        self.expires_at = expires_at
        # Of tables with rows that could not be checked: most streams have none.
        self._unanswered_resets: UnansweredResets | None = None
        self._waiting: asyncio.Future[None] | None = None  # what the reader awaits, while it waits
        self.on_caught_up: Callable[[], None] | None = None
        self.ended = False
        self.sink: Sink = NO_SINK
        self.read_at = time.monotonic()

    def set_tables(self, tables: Iterable[Table]) -> None:
        """Subscribe to these tables, and to no others."""
        self.tables, self.relations, _ = intern_tables(tuple(tables))

    def set_baseline(self, position: int) -> None:
        """Assume that the client knows what its tables hold up to this position, or fetches it now."""
        self.position = position
        _, _, self.triggers = intern_tables(self.tables)

    def prepend(self, chunk: bytes) -> None:
        """Put a greeting before everything else."""
        self._buffer.prepend(chunk)

    def push(self, chunk: bytes) -> None:
        """Put whole events into the buffer. If it is full, end the stream."""
        if self.ended or not chunk:
            return
        if not self.may_tell_position:
            # If the client leaves before it hears of the reset, it has to come back to the position before.
            chunk = sse.without_ids(chunk)
        if self._write(chunk):
            return
        if not self._buffer.push(chunk):
            endings.add(Ending.BUFFER_FULL)
            self.ended = True
        self.wake()

    def reset(self, reason: ResetReason, relations: Container[int]) -> None:
        """Tell the client to fetch its tables among these again, and then to go on after ``position``."""
        if names := [table.name for table in self.tables if table.relation in relations]:
            self.push(reset_event(reason, names, self.position))

    def may_reset(self, relation: int) -> bool:
        """Return whether to reset a table now whose rows could not be checked; otherwise ``tick`` does it soon."""
        self._unanswered_resets = self._unanswered_resets or UnansweredResets()
        return self._unanswered_resets.may_send(relation)

    def end(self, last_words: bytes = b"") -> None:
        """End the stream after what is in the buffer, and after these last words. May be called again.

        docs/protocol.md lists which module decides that, and why.
        """
        if last_words and not self.ended:
            self._buffer.push_last(last_words)
        self.ended = True
        self.wake()

    def abandon(self) -> None:
        """End the stream of a client that has gone, and free its buffer. May be called again."""
        self._buffer.clear()
        self.end()

    @property
    def is_caught_up(self) -> bool:
        """Whether everything has been handed out, except a greeting or last words."""
        return self._buffer.is_caught_up

    def __aiter__(self) -> "Subscriber":
        return self

    async def __anext__(self) -> bytes:
        """Wait for events, and return a piece of them; return a heartbeat if ``tick`` has ended the wait."""
        self.read_at = time.monotonic()
        if self._buffer.is_empty and not self.ended:
            await self._wait()
        if not self.ended and self._has_expired():
            endings.add(Ending.EXPIRED)
            self.end(expired_event())
        if not self._buffer.is_empty:
            return self._take()
        if self.ended:
            raise StopAsyncIteration
        return self._heartbeat()

    def tick(self) -> None:
        """Send a heartbeat if the stream has been silent for too long, and resets that are due; end it with its token.

        Called about once a second: a timer of its own would cost each stream more than everything else it has.
        """
        if self._unanswered_resets is not None:
            self.reset(ResetReason.UNANSWERED, self._unanswered_resets.take_due())
        is_silent = time.monotonic() - self.read_at >= self._heartbeat_seconds
        if (is_silent or self._has_expired()) and not self._write(self._heartbeat()):
            self.wake()

    def _heartbeat(self) -> bytes:
        return sse.heartbeat(self.position if self.may_tell_position else None)

    @property
    def may_tell_position(self) -> bool:
        """Whether a client that comes back to the position misses nothing."""
        return self._unanswered_resets is None or not self._unanswered_resets.owed

    def _write(self, chunk: bytes) -> bool:
        """Write a chunk past a reader that waits; return whether it was. Large ones, and endings, are the reader's."""
        waits = self._waiting is not None and not self._waiting.done()
        is_written = waits and len(chunk) <= PIECE_BYTES and not self._has_expired() and self.sink.write(chunk)
        if is_written:
            self.read_at = time.monotonic()
        return is_written

    def _has_expired(self) -> bool:
        return self.expires_at is not None and time.time() >= self.expires_at

    async def _wait(self) -> None:
        # Not an Event with a timeout, which costs more than twice as much for every chunk of every stream.
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def wake(self) -> None:
        """End a wait: the stream then sends what is in the buffer, or a heartbeat."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _take(self) -> bytes:
        piece = self._buffer.take()
        if self.on_caught_up is not None and self._buffer.is_caught_up:
            self.on_caught_up()
        return piece
