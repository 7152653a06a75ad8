"""A bare ASGI application, without framework or database: GET streams what is POSTed, one event per line."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


class _Stream:
    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.changed = asyncio.Event()


_streams: set[_Stream] = set()


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["method"] == "POST":
        await _publish(receive, send)
    elif scope["path"] == "/":
        await _stream(receive, send)
    else:
        await _answer(send)


async def _publish(receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    chunk = b"".join(b"data: %b\n\n" % line for line in body.split(b"\n"))
    for stream in _streams:
        stream.chunks.append(chunk)
        stream.changed.set()
    await _answer(send)


async def _answer(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _stream(receive: Receive, send: Send) -> None:
    stream = _Stream()
    _streams.add(stream)
    writing = asyncio.create_task(_write(stream, send))
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        _streams.discard(stream)
        writing.cancel()


async def _write(stream: _Stream, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b": connected\n\n", "more_body": True})
    while True:
        await stream.changed.wait()
        stream.changed.clear()
        taken = b"".join(stream.chunks)
        stream.chunks.clear()
        await send({"type": "http.response.body", "body": taken, "more_body": True})
