"""What a request's task keeps while its stream is open: the server's ``receive``, and the context that it began with.

What must always hold: nothing that Django sets for a request lasts as long as the request's stream.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextvars import Context, copy_context
from types import coroutine
from typing import Any, Protocol, TypeVar, cast

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

Result = TypeVar("Result")


class Leaving(Protocol):
    """What leaves with the client."""

    def leave(self) -> None:
        """Let go of what it holds. May be called again."""


class Incoming:
    """A server's ``receive`` that may be cancelled once the request is complete: the server's own goes on waiting.

    Django cancels one with each response, which gunicorn's worker takes for a disconnect.
    """

    __slots__ = ("_context", "_disconnect", "_is_complete", "_receive", "_stream")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_complete = False
        self._disconnect: asyncio.Future[Message] | None = None
        self._stream: Leaving | None = None
        self._context = copy_context()

    async def __call__(self) -> Message:
        """Receive the next part of the request; once it is complete, wait until the client has gone."""
        if self._is_complete:
            return await asyncio.shield(self._gone())
        message = await self._receive()
        self._is_complete = not message.get("more_body")
        return message

    def leave_with_the_client(self, stream: Leaving) -> None:
        """Let the stream leave when the client has gone, or when this is closed."""
        self._stream = stream
        if self._gone().done():
            stream.leave()

    def close(self) -> None:
        """Wait no more."""
        if self._disconnect is not None:
            self._disconnect.cancel()
        if self._stream is not None:
            self._stream.leave()

    def _gone(self) -> "asyncio.Future[Message]":
        if self._disconnect is None:
            # It lasts as long as the stream, so not in the context of Django's task, which may have called this.
            self._disconnect = asyncio.create_task(self._until_gone(), context=self._context)
        return self._disconnect

    async def _until_gone(self) -> Message:
        # An application need not have received the request.
        while (message := await self._receive())["type"] != "http.disconnect":
            pass
        if self._stream is not None:
            self._stream.leave()
        return message


@coroutine
def within(context: Context, work: Coroutine[Any, Any, Result]) -> Generator[Any, Any, Result]:
    """Await this in another context: the caller's does not get what is set there."""
    step: Callable[[Any], Any] = work.send
    given: Any = None
    while True:
        try:
            awaited = context.run(step, given)
        except StopIteration as end:
            return cast(Result, end.value)
        try:
            step, given = work.send, (yield awaited)
        except BaseException as error:  # noqa: BLE001 - also a cancellation goes on in there
            step, given = work.throw, error
