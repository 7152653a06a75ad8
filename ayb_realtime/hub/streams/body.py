"""The body of a response: the hub puts events in, and the server takes pieces out."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from ayb_realtime.hub.streams.buffer import PIECE_BYTES, Buffer, waiting
from ayb_realtime.hub.streams.endings import Ending, endings
from ayb_realtime.sinks import NO_SINK, Sink
from ayb_realtime.wire.events import expired_event


class Body(ABC):
    """A body, as an async iterator of pieces.

    No event is dropped silently: a stream whose buffer is full ends, and its client comes back and resumes.

    expires_at: when it ends by itself, in seconds since the epoch; None: never.
    read_at: when the server last asked for a piece, or its sink last took one, in seconds of the monotonic clock.
    sink: takes chunks while the reader waits, so that they do not need the reader.
    ended: whether the stream ends after what is in the buffer.
    on_caught_up: called each time that the buffer has become empty, and when the stream is ended.
    """

    __slots__ = ("_buffer", "_waiting", "ended", "expires_at", "on_caught_up", "read_at", "sink")

    def __init__(self, buffer_bytes: int, expires_at: float | None) -> None:
        self.expires_at = expires_at
        self.on_caught_up: Callable[[], None] | None = None
        self.ended = False
        self.sink: Sink = NO_SINK
        self.read_at = time.monotonic()
        self._buffer = Buffer(buffer_bytes)
        self._waiting: asyncio.Future[None] | None = None  # what the reader awaits, while it waits

    @abstractmethod
    def heartbeat(self) -> bytes:
        """Return what is sent in place of events when there are none."""

    def prepend(self, chunk: bytes) -> None:
        """Put a greeting before everything else."""
        self._buffer.prepend(chunk)

    def write(self, chunk: bytes) -> None:
        """Put whole events into the buffer. If it is full, end the stream; if the process is, drop what waits, too."""
        if self.write_past_reader(chunk):
            return
        if not self._buffer.push(chunk):
            endings.add(Ending.PROCESS_FULL if waiting.is_full else Ending.BUFFER_FULL)
            self.ended = True
            if waiting.is_full:
                self._buffer.clear()
        self.wake()

    def end(self, last_words: bytes = b"") -> None:
        """End the stream after what is in the buffer, and after these last words. May be called again.

        docs/protocol.md lists which module decides that, and why.
        """
        if last_words and not self.ended:
            self._buffer.push_last(last_words)
        self.ended = True
        self.wake()
        if self.on_caught_up is not None:
            self.on_caught_up()

    def abandon(self) -> None:
        """End the stream of a client that has gone, and free its buffer. May be called again."""
        self._buffer.clear()
        self.end()

    @property
    def is_caught_up(self) -> bool:
        """Whether everything has been handed out, except a greeting or last words."""
        return self._buffer.is_caught_up

    @property
    def is_asked(self) -> bool:
        """Whether the server waits for a piece. Otherwise it sends one, and waits if the client does not read."""
        return self._waiting is not None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Wait for events, and return a piece of them; return a heartbeat if ``tick`` has ended the wait."""
        self.read_at = time.monotonic()
        if self._buffer.is_empty and not self.ended:
            # In no function of its own, which would take 208 bytes of each stream. An Event with a timeout would
            # cost more than twice as much for every chunk.
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        if not self.ended and self.has_expired():
            endings.add(Ending.EXPIRED)
            self.end(expired_event())
        if not self._buffer.is_empty:
            return self._take()
        if self.ended:
            raise StopAsyncIteration
        return self.heartbeat()

    def write_past_reader(self, chunk: bytes) -> bool:
        """Write a chunk past a reader that waits; return whether it was. Large ones, and endings, are the reader's."""
        waits = self._waiting is not None and not self._waiting.done()
        is_written = waits and len(chunk) <= PIECE_BYTES and not self.has_expired() and self.sink.write(chunk)
        if is_written:
            self.read_at = time.monotonic()
        return is_written

    def has_expired(self) -> bool:
        return self.expires_at is not None and time.time() >= self.expires_at

    def wake(self) -> None:
        """End a wait: the stream then sends what is in the buffer, or a heartbeat."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _take(self) -> bytes:
        piece = self._buffer.take()
        if self.on_caught_up is not None and self._buffer.is_caught_up:
            self.on_caught_up()
        return piece
