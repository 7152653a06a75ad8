"""A site for the tests of sinks, without a database: ``/?n=…`` is a stream, ``/?seed=…`` fills those that are open.

``python -m tests.integration.server.sink_site PORT`` serves it as ``runrealtime --serve`` does.
"""

# ruff: noqa: E402 - Django comes first

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from random import Random
from typing import Any
from urllib.parse import parse_qsl

import django

django.setup()

from ayb_realtime import sinks
from ayb_realtime.asgi import KEY, Realtime
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.identity import Identity
from ayb_realtime.sinks import Sink

GREETING = b": welcome\n\n"
LAST_WORDS = b"data: bye\n\n"
BUFFER_BYTES = 400_000
streams: dict[str, "Stream"] = {}

if os.environ.get("UNKNOWN_VERSIONS"):
    sinks.KNOWN_VERSIONS.update(dict.fromkeys(sinks.KNOWN_VERSIONS, ((0, 0), (0, 0))))


def chunks(seed: int) -> list[bytes]:
    """Return the chunks of a play: most are short, and some are larger than a piece."""
    random = Random(seed)
    sizes = [random.randrange(*((20_000, 60_000) if random.random() < 0.15 else (0, 2_000))) for _ in range(1_000)]
    return [
        b"data: %d %b\n\n" % (number, random.randbytes(size // 2).hex().encode()) for number, size in enumerate(sizes)
    ]


class Stream:
    """A subscriber as the body of a response, which notes what it was given, and counts what its sink has written."""

    def __init__(self) -> None:
        self.subscriber = Subscriber(Identity("x", ()), [], buffer_bytes=BUFFER_BYTES, heartbeat_seconds=0.0)
        self.subscriber.prepend(GREETING)
        self.given: list[int] = []
        self.is_ended_by_us = False
        self.sink: Sink = sinks.NO_SINK
        self.written = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.subscriber

    def write_to(self, sink: Sink) -> None:
        """Write to this sink, and count."""
        self.sink = sink
        self.subscriber.sink = self

    def write(self, chunk: bytes) -> bool:
        """Write, as a sink."""
        was_written = self.sink.write(chunk)
        self.written += was_written
        return was_written

    def leave(self) -> None:
        """Let go of the stream."""
        self.subscriber.abandon()

    def push(self, number: int, chunk: bytes) -> None:
        """Push a chunk, and note whether it was taken."""
        self.subscriber.push(chunk)
        if not self.subscriber.ended:
            self.given.append(number)

    def end(self) -> None:
        """End the stream, unless it has ended already."""
        self.is_ended_by_us = not self.subscriber.ended
        self.subscriber.end(LAST_WORDS)


async def play(seed: int) -> dict[str, Any]:
    """Push chunks and send heartbeats in a random order, then end the streams; return what each was given."""
    random = Random(seed)
    for number, chunk in enumerate(chunks(seed)):
        for stream in streams.values():
            stream.push(number, chunk)
        for _ in range(random.randrange(1, 4)):
            await asyncio.sleep(0)
        if random.random() < 0.2:
            for stream in streams.values():
                stream.subscriber.tick()
    for stream in streams.values():
        stream.end()
    return {
        name: {
            "given": stream.given,
            "is_ended_by_us": stream.is_ended_by_us,
            "sink": type(stream.sink).__name__,
            "written": stream.written,
        }
        for name, stream in streams.items()
    }


async def site(scope: Any, _: Any, send: Any) -> None:
    """Answer a request."""
    query = dict(parse_qsl(scope["query_string"].decode()))
    headers, body = {"content-type": "application/json"}, b"{}"
    if "n" in query:
        stream = streams[query["n"]] = Stream()
        headers = {"content-type": "text/event-stream"} | scope[KEY].offer(stream, "name")
    elif "seed" in query:
        body = json.dumps(await play(int(query["seed"]))).encode()
        streams.clear()
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve the site, wrapped; no lifespan."""
    if scope["type"] == "http":
        await Realtime(site)(scope, receive, send)


if __name__ == "__main__":
    from ayb_realtime.server import serve

    serve(application, "127.0.0.1", int(sys.argv[1]), asyncio.Event().wait(), print)
