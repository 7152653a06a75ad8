"""Sends streams outside Django, if a site's ``asgi.py`` uses ``Realtime``.

In Django a request lasts as long as its response, and until then it holds a thread, the request object and its
middleware. So the view only hands its stream over, and returns an empty response that names the stream in a header, as
X-Sendfile does. Django and its middleware finish with that response, and the stream follows its headers. What must
always hold: if Django's response does not name the stream, the stream leaves the hub; and neither Django nor a server
that logs a request once it is answered sees a token in its query.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import nullcontext
from contextvars import copy_context
from traceback import walk_tb
from typing import Any, ClassVar, Protocol

from ayb_realtime import precedence, sinks
from ayb_realtime.access import credentials
from ayb_realtime.access.credentials import Credentials
from ayb_realtime.incoming import Incoming, Message, Receive, within
from ayb_realtime.request_threads import OwnThread
from ayb_realtime.sinks import Sink

Scope = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

# Where in the scope a view finds the request's handover.
KEY = "ayb_realtime"
# The header of the response that names the stream. It never leaves this process.
HEADER = "X-Ayb-Realtime-Stream"
# What raises ValueError for a WebSocket that it does not serve: Django's handler, and Channels' routers.
ROUTERS = {"django.core.handlers.asgi", "channels.routing"}
# A path may have the name of a tenant in it.
PATHS_MAX = 1000


class Stream(Protocol):
    """What is handed over: chunks of a response's body, until ``leave`` is called or they end."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the chunks."""

    def write_to(self, sink: Sink) -> None:
        """Give a chunk to this, rather than to the reader that waits for one, if it takes it."""

    def leave(self) -> None:
        """Let go of the stream. May be called again."""


async def _refuse_nothing(*_: object) -> Sequence[Message]:
    return ()


class Realtime:
    """An ASGI application around a site's own: ``application = Realtime(get_asgi_application())``.

    Everything but streams passes through it unchanged. It may be combined with other ASGI middleware, in any order.
    """

    # Whether the site uses it, for a system check.
    is_used: ClassVar[bool] = False
    # Answers a request that is refused before the application sees it; nothing: it is not. The app puts it here.
    refuse: ClassVar[Callable[[Scope, Credentials], Awaitable[Sequence[Message]]]] = staticmethod(_refuse_nothing)

    def __init__(self, application: Application) -> None:
        Realtime.is_used = True
        self._application = application
        # Where a stream was handed over: the requests of the site's pages pass the others by.
        self._stream_paths: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer; if it hands over a stream, send that."""
        if scope["type"] == "websocket":
            await _or_close(self._application, scope, receive, send)
            return
        if scope["type"] != "http" or KEY in scope:
            await self._application(scope, receive, send)
            return
        incoming = Incoming(receive)
        try:
            if stream := await self._ask(scope, incoming, send):
                incoming.leave_with_the_client(stream)
                self._note_path(scope["path"])
                sink: Sink | None = None
                # Not in a function of its own, which would take 256 bytes of each stream.
                async for chunk in stream:
                    if sink is None or not sink.write(chunk):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    if sink is None:
                        sink = sinks.of(send)
                        stream.write_to(sink)
                    del chunk  # The next one may be long in coming.
                await send({"type": "http.response.body", "body": b""})
        finally:
            incoming.close()

    def _note_path(self, path: str) -> None:
        if len(self._stream_paths) >= PATHS_MAX:
            self._stream_paths.clear()
        self._stream_paths.add(path)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> Stream | None:
        """Let the application answer, unless the request is refused; return the stream that it hands over.

        Then the response has begun. Nothing else of the request is kept: the stream may last for hours.
        """
        given = credentials.take_out(scope)
        scope = {**scope, credentials.KEY: given}
        if answer := await Realtime.refuse(scope, given):
            for message in answer:
                await send(message)
            return None
        if scope.get("path") in self._stream_paths:
            await precedence.turn()  # Hundreds may come at once, and each begins with a millisecond of Django.
        handover = scope[KEY] = Handover(receive, send, given)
        # Django leaves almost a kilobyte in its context, and the server's context lasts as long as the stream.
        context = copy_context()
        try:
            await within(context, self._answer(scope, handover))
            stream = await handover.take()
        finally:
            handover.leave()
        if stream is None:
            for variable, value in context.items():
                variable.set(value)
        return stream

    async def _answer(self, scope: Scope, handover: "Handover") -> None:
        async with OwnThread() if scope.get("path") in self._stream_paths else nullcontext():
            await self._application(scope, handover.receive, handover.send)


async def _or_close(application: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the application answer a WebSocket; if nothing of it serves that, refuse it: servers answer with 403."""
    try:
        await application(scope, receive, send)
    except ValueError as error:
        *_, (frame, _) = walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__") not in ROUTERS:
            raise
        credentials.take_out(scope)  # The server logs what is refused.
        await send({"type": "websocket.close"})


class Handover:
    """The stream that a view hands over for one request, until ``take`` or ``leave``; whether the client has gone."""

    def __init__(self, receive: Receive, send: Send, given: Credentials) -> None:
        self._receive = receive
        self._send = send
        self._given = given
        self._stream: Stream | None = None
        self._header: tuple[bytes, bytes] | None = None
        self._start: Message | None = None
        self.is_gone = False

    def offer(self, stream: Stream, token: str) -> dict[str, str]:
        """Hand over a stream; return the header that the response to this request must have.

        token: names the stream, and must be impossible to guess.
        """
        self._stream = stream
        self._header = HEADER.lower().encode(), token.encode()
        return {HEADER: token}

    async def receive(self) -> Message:
        """Receive for the application, and note a disconnect: not every server reports it twice."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.is_gone = True
        return message

    async def send(self, message: Message) -> None:
        """Send for the application, but hold back the response that names the stream."""
        if self._header is not None and message["type"] == "http.response.start":
            headers = [(bytes(name).lower(), bytes(value)) for name, value in message["headers"]]
            if self._header in headers:
                headers.remove(self._header)
                self._start = {**message, "headers": headers}
        if message["type"] == "http.response.start" and 300 <= message["status"] < 400 and self._given.parts:
            message = {**message, "headers": self._given.restored(message["headers"])}
        if self._start is None:
            await self._send(message)

    async def take(self) -> Stream | None:
        """Begin the response and return the stream; None if no response has named it, or the client has gone."""
        if self._stream is None or self._start is None or self.is_gone:
            return None
        await self._send(self._start)
        stream, self._stream = self._stream, None
        return stream

    def leave(self) -> None:
        """Let go of a stream that was not taken."""
        if self._stream is not None:
            self._stream.leave()
