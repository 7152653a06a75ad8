"""Writes chunks of streams to a known server's own connections: one framed chunk for all clients.

By ASGI's ``send`` a server frames a chunk again for each client, in a task of that client. All that we use of servers'
internals is here. If a server is not known, or its ``send`` is wrapped, chunks go by ``send``. What must always hold: a
client reads what it would have read by ``send``. So a sink may be used only while no ``send`` is under way.
"""

# ruff: noqa: SLF001 - h11 and Twisted show what matters here only privately

import logging
import re
import sys
from collections.abc import Callable
from functools import lru_cache, partial
from types import FunctionType
from typing import Any, Protocol

logger = logging.getLogger(__name__)

# The versions whose inside is known: from the first, and before the second.
KNOWN_VERSIONS = {"uvicorn": ((0, 35), (1, 0)), "daphne": ((4, 1), (5, 0))}


class Sink(Protocol):
    """The way to one client."""

    def write(self, chunk: bytes) -> bool:
        """Write a chunk now, if the client's connection has room; return whether it had."""


class _NoSink:
    def write(self, _: bytes) -> bool:
        return False


NO_SINK = _NoSink()


# Of streams that resume, each may be at another piece.
@lru_cache(maxsize=128)
def framed(chunk: bytes) -> bytes:
    """Frame a chunk, once for all streams that send it at about the same time. Source: RFC 9112, "Chunked"."""
    return b"%x\r\n%b\r\n" % (len(chunk), chunk)


class _UvicornSink:
    """Writes to the transport, as uvicorn does. Both its protocols wait while ``write_paused`` is set."""

    __slots__ = ("_flow", "_transport")

    def __init__(self, transport: Any, flow: Any) -> None:
        self._transport, self._flow = transport, flow
        # What is missing is noticed now, not when a chunk is written.
        _ = flow.write_paused, transport.is_closing, transport.write

    def write(self, chunk: bytes) -> bool:
        if self._flow.write_paused or self._transport.is_closing():
            return False
        self._transport.write(framed(chunk))
        return True


class _TwistedSink:
    """Writes to the socket while Twisted's buffers are empty: Twisted itself waits for the next turn of its reactor."""

    __slots__ = ("_request", "_transport")

    def __init__(self, request: Any, transport: Any) -> None:
        self._request, self._transport = request, transport
        _ = transport.connected, transport.dataBuffer, transport._tempDataBuffer, transport.writeSomeData

    def write(self, chunk: bytes) -> bool:
        transport = self._transport
        # A request without a channel has ended, and the connection may have begun another one.
        if self._request.channel is None or not transport.connected:
            return False
        if transport.dataBuffer or transport._tempDataBuffer:
            return False
        data = framed(chunk)
        sent = transport.writeSomeData(data)
        if not isinstance(sent, int):  # The connection is lost: Twisted finds out by itself.
            return False
        if sent < len(data):
            transport.write(data[sent:])
        return True


def _uvicorn_httptools(cycle: Any) -> Sink:
    return _UvicornSink(cycle.transport, cycle.flow) if cycle.chunked_encoding else NO_SINK


def _uvicorn_h11(cycle: Any) -> Sink:
    is_chunked = type(cycle.conn._writer).__name__ == "ChunkedWriter"
    return _UvicornSink(cycle.transport, cycle.flow) if is_chunked else NO_SINK


def _daphne(_: Any, request: Any) -> Sink:
    if request.channel is None:  # The client has gone.
        return NO_SINK
    transport = request.channel.transport
    # With TLS it is another class, and with HTTP/2 the channel is.
    is_plain = type(transport).__module__ == "twisted.internet.tcp" and not transport.TLS
    return _TwistedSink(request, transport) if is_plain and request.chunked else NO_SINK


# The module and the name of the method that ``send`` is, or calls.
_MAKERS: dict[tuple[str, str], tuple[str, Callable[..., Sink]]] = {
    ("uvicorn.protocols.http.httptools_impl", "RequestResponseCycle.send"): ("uvicorn", _uvicorn_httptools),
    ("uvicorn.protocols.http.h11_impl", "RequestResponseCycle.send"): ("uvicorn", _uvicorn_h11),
    # Not Daphne's own server, which would not wait for a client that does not read.
    ("ayb_realtime.server", "BackpressureServer.handle_reply"): ("daphne", _daphne),
}


def of(send: Any) -> Sink:
    """Return the sink of a response whose first chunk has been sent; NO_SINK if it has none."""
    method: Any = send.func if isinstance(send, partial) else send
    given = send.args if isinstance(send, partial) else ()
    function = getattr(method, "__func__", None)
    if not isinstance(function, FunctionType):
        return _unknown("it is wrapped, or the server is not known")
    # Not the function's `__module__`, which decorators copy.
    known = _MAKERS.get((function.__globals__["__name__"], function.__qualname__))
    if known is None:
        return _unknown("it is wrapped, or the server is not known")
    server, make = known
    if not _is_known(server):
        return _unknown(f"this version of {server} is not known")
    try:
        return make(method.__self__, *given)
    except AttributeError as error:
        return _unknown(f"this {server} is not known: {error}")


@lru_cache
def _is_known(server: str) -> bool:
    first, limit = KNOWN_VERSIONS[server]
    version = re.match(r"(\d+)\.(\d+)", sys.modules[server].__version__)
    return version is not None and first <= (int(version[1]), int(version[2])) < limit


@lru_cache
def _unknown(reason: str) -> Sink:
    """Say once why streams cost more than they could."""
    logger.info(
        "streams are sent by ASGI's send, which takes more CPU: %s", reason, extra={"event_name": "sent_by_asgi"}
    )
    return NO_SINK
