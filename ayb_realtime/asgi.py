"""Streams leave Django before their first event, where this stands in a site's ``asgi.py``.

To Django a request ends with its response, and until then it holds a thread, the request and its middleware. So the
view only hands its stream over, and answers with a response that is empty and names it, as with X-Sendfile. Middleware
does what it does, Django finishes, and the stream is sent behind the headers. What must always hold: a stream whose
name does not come out of Django has left the hub.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

# Where in the scope a view finds the request's handover.
KEY = "ayb_realtime"
# The header of the response that names the stream. It never leaves this process.
HEADER = "X-Ayb-Realtime-Stream"


class Stream(Protocol):
    """What is handed over: chunks of a response's body, until ``leave`` is called or they end."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the chunks."""

    def leave(self) -> None:
        """Let go of the stream. May be called again."""


class Realtime:
    """An ASGI application around a site's own: ``application = Realtime(get_asgi_application())``.

    Everything but streams passes through it unchanged. It may stand inside or outside of others such as it.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer; where it hands a stream over, send that."""
        if scope["type"] != "http" or KEY in scope:
            await self._application(scope, receive, send)
            return
        stream = await self._ask(scope, receive, send)
        if stream is None:
            return
        watching = asyncio.create_task(_leave_with_the_client(stream, receive))
        try:
            async for chunk in stream:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            stream.leave()
            watching.cancel()

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> Stream | None:
        """Let the application answer; return a stream that it hands over, when its response has begun.

        Nothing of what led to it is kept: the stream may last for hours.
        """
        handover = Handover(receive, send)
        try:
            await self._application({**scope, KEY: handover}, handover.receive, handover.send)
            return await handover.take()
        finally:
            handover.leave()


async def _leave_with_the_client(stream: Stream, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.leave()


class Handover:
    """What a view hands over of one request, and what became of it."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._stream: Stream | None = None
        self._header: tuple[bytes, bytes] | None = None
        self._start: Message | None = None
        self._is_gone = False

    def offer(self, stream: Stream, name: str) -> dict[str, str]:
        """Hand a stream over; return the header that the response to this request has to have.

        name: nobody may be able to guess it.
        """
        self._stream = stream
        self._header = HEADER.lower().encode(), name.encode()
        return {HEADER: name}

    async def receive(self) -> Message:
        """Receive for the application, and take down that the client has gone: not every server says so twice."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._is_gone = True
        return message

    async def send(self, message: Message) -> None:
        """Send for the application, but hold back the response that names the stream."""
        if self._header is not None and message["type"] == "http.response.start":
            headers = [(bytes(name).lower(), bytes(value)) for name, value in message["headers"]]
            if self._header in headers:
                headers.remove(self._header)
                self._start = {**message, "headers": headers}
        if self._start is None:
            await self._send(message)

    async def take(self) -> Stream | None:
        """Begin the response; None: the stream's name has not come out, or there is no client any more."""
        if self._stream is None or self._start is None or self._is_gone:
            return None
        await self._send(self._start)
        stream, self._stream = self._stream, None
        return stream

    def leave(self) -> None:
        """Let go of a stream that was not taken."""
        if self._stream is not None:
            self._stream.leave()
