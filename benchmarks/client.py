"""A subscriber that behaves as a browser's EventSource: if its stream ends, it reconnects with its last event's id.

``load`` opens thousands. They use sockets without an HTTP library, so that reading costs little.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from benchmarks.events import EventReader, Stamp

_anything = re.compile(rb"")
_client_id = re.compile(rb'(?<="clientId":")[^"]+')


class LoadError(RuntimeError):
    """A stream could not be opened. The message says what the server answered."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """How a subscriber asks for its stream.

    request: the whole HTTP request that is answered with the stream.
    then: a second request, on its own connection, that names what to subscribe to; CLIENT_ID in it stands for the id in
        the stream's first event. Empty: none.
    """

    request: bytes
    then: bytes = b""


class Turns:
    """Lets connections take turns at reading, each what has arrived for it.

    Each browser has a processor of its own. Here thousands of clients share one. If all read as fast as they can, the
    event loop does nothing else for seconds.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.ReadTransport] = deque()

    def wait(self, transport: asyncio.ReadTransport) -> None:
        """Make a connection that has just read wait for its next turn."""
        transport.pause_reading()
        self._waiting.append(transport)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._waiting.popleft().resume_reading()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)


class Client:
    """One subscriber.

    number: its number among the subscribers.
    arrived: called with that number and the stamps of each whole event.
    turns: for reading; None: it reads at once.
    closed: how often its stream has ended.
    refused: what the server answered instead of a stream when the client reconnected: it gives up then, as browsers do.
    """

    def __init__(
        self,
        number: int,
        subscription: Subscription,
        port: int,
        arrived: Callable[[int, Sequence[Stamp]], None],
        turns: Turns | None = None,
    ) -> None:
        self.events = EventReader()
        self.closed = 0
        self.refused = ""
        self._number = number
        self._subscription = subscription
        self._port = port
        self._arrived = arrived
        self._turns = turns

    async def open(self) -> asyncio.Event:
        """Open the stream; return an event that is set once it ends. Raises LoadError or OSError."""
        request = self._subscription.request
        if self.events.last_id:
            request = request.replace(b"\r\n\r\n", b"\r\nLast-Event-ID: %s\r\n\r\n" % self.events.last_id, 1)
        then = self._subscription.then
        found, ended = await self._ask(request, _client_id if then else _anything, self._receive)
        if then:
            await self._ask(then.replace(b"CLIENT_ID", found), _anything, lambda data: None)
        return ended

    async def stay(self, ended: asyncio.Event) -> None:
        """Reconnect each time the stream ends, until the server refuses."""
        while not self.refused:
            await ended.wait()
            self.closed += 1
            self.events.forget_rest()
            ended = await self._come_back()

    async def _come_back(self) -> asyncio.Event:
        while True:
            await asyncio.sleep(self.events.retry_seconds)
            try:
                return await self.open()
            except LoadError as error:
                self.refused = str(error)
                return asyncio.Event()
            except OSError:
                continue

    async def _ask(
        self, request: bytes, awaited: re.Pattern[bytes], receive: Callable[[bytes], None]
    ) -> tuple[bytes, asyncio.Event]:
        """Send a request; return what is awaited of its body, and an event that is set when the connection ends."""
        loop = asyncio.get_running_loop()
        transport, answer = await loop.create_connection(
            lambda: _Answer(awaited, receive, self._turns), "127.0.0.1", self._port
        )
        transport.write(request)
        return await answer.opened, answer.ended

    def _receive(self, data: bytes) -> None:
        if stamps := self.events.read(data):
            self._arrived(self._number, stamps)


class _Answer(asyncio.Protocol):
    """The answer to one request. opened: the awaited part of its body; receive: called with the body as it arrives."""

    _transport: asyncio.ReadTransport

    def __init__(self, awaited: re.Pattern[bytes], receive: Callable[[bytes], None], turns: Turns | None) -> None:
        self.opened: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self._awaited = awaited
        self._receive = receive
        self._turns = turns
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            data = self._head = self._head + data
            head, complete, body = data.partition(b"\r\n\r\n")
            if not complete or (found := self._awaited.search(body)) is None:
                return
            if b" 200 " not in head[:16] and b" 204 " not in head[:16]:
                self.opened.set_exception(LoadError(data[:300].decode(errors="replace")))
                return
            self.opened.set_result(found[0])
            self._head = b""
            data = body
        if self._turns is not None:
            self._turns.wait(self._transport)
        self._receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionResetError("the server closed the connection without an answer"))
        self.ended.set()
