"""How long a client of ``--serve`` may take for a request, by a clock of the test's own."""

import socket
from contextlib import ExitStack
from typing import Any

import pytest
from twisted.internet import protocol, tcp, testing
from twisted.internet.task import Clock
from twisted.web import http

from ayb_realtime.bounded_channel import (
    BODY_SECONDS,
    HEAD_SECONDS,
    IDLE_SECONDS,
    LINGER_SECONDS,
    BoundedChannel,
    accept_one,
)

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"


# Few of their methods have types.
Request: Any = http.Request
StringTransport: Any = testing.StringTransport


class Answered(Request):  # type: ignore[misc]
    """A request that is answered at once."""

    def process(self) -> None:
        """Answer."""
        self.write(b"answer")
        self.finish()


class Transport(StringTransport):  # type: ignore[misc]
    """A connection whose writing half can be closed."""

    is_half_closed = False

    def loseWriteConnection(self) -> None:  # noqa: N802
        """Note it."""
        self.is_half_closed = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def channel(clock: Clock) -> Any:
    """A client's connection."""
    channel = BoundedChannel()
    channel.callLater, channel.timeOut, channel.requestFactory = clock.callLater, IDLE_SECONDS, Answered
    channel.makeConnection(Transport())
    return channel


def drip(channel: Any, clock: Clock, data: bytes, seconds: float) -> None:
    """Send something over so many seconds, a byte each second."""
    for number in range(int(seconds)):
        channel.dataReceived(data[number : number + 1] or b"x")
        clock.advance(1)


def test_head_that_drips_ends_the_connection(channel: Any, clock: Clock) -> None:
    drip(channel, clock, b"GET / HTTP/1.1\r\nX: ", HEAD_SECONDS - 1)
    assert not channel.transport.disconnecting
    drip(channel, clock, b"x", 1)
    assert channel.transport.disconnecting


def test_body_that_drips_ends_the_connection(channel: Any, clock: Clock) -> None:
    channel.dataReceived(HEAD.replace(b"100", b"1000") + b"\r\n")
    drip(channel, clock, b"", BODY_SECONDS - 1)
    assert not channel.transport.disconnecting
    drip(channel, clock, b"", 1)
    assert channel.transport.disconnecting


def test_idle_connection_may_begin_a_request_late_and_has_the_whole_time_for_it(channel: Any, clock: Clock) -> None:
    for _ in range(2):
        clock.advance(IDLE_SECONDS - 1)
        channel.dataReceived(HEAD)
        clock.advance(HEAD_SECONDS - 1)
        channel.dataReceived(b"\r\n")
        clock.advance(BODY_SECONDS - 1)
        channel.dataReceived(b"x" * 100)
    assert channel.transport.value().count(b"answer") == 2
    clock.advance(IDLE_SECONDS - 1)
    assert not channel.transport.disconnecting
    clock.advance(1)
    assert channel.transport.disconnecting


def test_refused_body_is_dropped_until_the_client_has_had_time_to_read_why(
    channel: Any, clock: Clock, settings: Any
) -> None:
    settings.AYB_REALTIME = {"LIMITS": {"body_bytes": 99}}
    channel.dataReceived(HEAD + b"\r\n" + b"x" * 50)
    channel.dataReceived(b"x" * 50)
    assert channel.transport.value().startswith(b"HTTP/1.1 413 ")
    assert channel.transport.value().count(b"HTTP/1.1 ") == 1
    assert channel.transport.is_half_closed
    assert not channel.transport.disconnecting
    clock.advance(LINGER_SECONDS)
    assert channel.transport.disconnecting


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        (b"GET /api/realtime?tables=%b HTTP/1.1\r\n", b"414 "),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: %b\r\n", b"431 "),
    ],
)
def test_line_that_is_too_long_is_refused(channel: Any, clock: Clock, head: bytes, answer: bytes) -> None:
    for _ in range(3):
        channel.dataReceived(head % (b"x" * 20_000))
    assert channel.transport.value().startswith(b"HTTP/1.1 " + answer)
    assert channel.transport.value().count(b"HTTP/1.1") == 1
    assert channel.transport.is_half_closed
    clock.advance(LINGER_SECONDS)
    assert channel.transport.disconnecting


def test_connections_that_come_together_are_accepted_one_in_a_turn() -> None:
    accepted: list[Any] = []

    class Counting(protocol.Protocol):
        def connectionMade(self) -> None:  # noqa: N802
            accepted.append(self.transport)

    reactor: Any = testing.MemoryReactor()  # type: ignore[no-untyped-call]
    factory: Any = protocol.Factory.forProtocol(Counting)
    port: Any = tcp.Port(0, factory, interface="127.0.0.1", reactor=reactor)
    port.startListening()
    with ExitStack() as stack:
        stack.callback(port.socket.close)
        for _ in range(4):
            stack.enter_context(socket.create_connection(("127.0.0.1", port.getHost().port), timeout=30))
        for number in range(1, 5):
            accept_one(port)
            assert len(accepted) == number
        for each in accepted:
            each.socket.close()
