"""A sink is used only if the server is known and its ``send`` is not wrapped."""

import functools
from collections.abc import Iterator
from types import MethodType, SimpleNamespace
from typing import Any

import pytest
from uvicorn.protocols.http import h11_impl, httptools_impl

from ayb_realtime import sinks
from ayb_realtime.sinks import NO_SINK, framed


class Transport:
    """A transport as asyncio has it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        """Note the bytes."""
        self.written.append(data)

    def is_closing(self) -> bool:
        """Return what the test has set."""
        return self.closing


class ChunkedWriter:
    """Named as h11's."""


def cycle() -> SimpleNamespace:
    """Return a response of uvicorn's, as far as sinks know it."""
    return SimpleNamespace(
        transport=Transport(),
        flow=SimpleNamespace(write_paused=False),
        chunked_encoding=True,
        conn=SimpleNamespace(_writer=ChunkedWriter()),
    )


def send_of(module: Any, response: Any) -> Any:
    """Return the ``send`` of a response."""
    return MethodType(module.RequestResponseCycle.send, response)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Look at the versions again, and say again what is not known."""
    yield
    sinks._is_known.cache_clear()
    sinks._unknown.cache_clear()


both = pytest.mark.parametrize("module", [httptools_impl, h11_impl], ids=["httptools", "h11"])


def test_chunk_is_framed_once() -> None:
    assert framed(b"x" * 17) == b"11\r\n" + b"x" * 17 + b"\r\n"
    assert framed(b"x" * 17) is framed(b"x" * 17)


@both
def test_known_server_is_written_to_while_it_has_room(module: Any) -> None:
    response = cycle()
    sink = sinks.of(send_of(module, response))
    assert sink.write(b"event")
    response.flow.write_paused = True
    assert not sink.write(b"no room")
    response.flow.write_paused = False
    response.transport.closing = True
    assert not sink.write(b"gone")
    assert response.transport.written == [b"5\r\nevent\r\n"]


@pytest.mark.parametrize(
    ("module", "name"),
    [(httptools_impl, name) for name in ("transport", "flow", "chunked_encoding", "flow.write_paused")]
    + [(h11_impl, name) for name in ("transport", "flow", "conn", "conn._writer", "flow.write_paused")],
)
def test_server_whose_internals_have_changed_is_sent_to_by_send_and_one_line_says_so(
    module: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    response = cycle()
    *path, last = name.split(".")
    delattr(functools.reduce(getattr, path, response), last)
    for _ in range(3):
        assert sinks.of(send_of(module, response)) is NO_SINK
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert last in caplog.text


@both
@pytest.mark.parametrize("known", [((0, 0), (0, 1)), ((9, 0), (10, 0))])
def test_server_of_another_version_is_sent_to_by_send(
    module: Any, known: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setitem(sinks.KNOWN_VERSIONS, "uvicorn", known)
    assert sinks.of(send_of(module, cycle())) is NO_SINK
    assert "this version of uvicorn" in caplog.text


def test_response_without_chunks_is_sent_to_by_send_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    response = cycle()
    response.chunked_encoding = False
    response.conn._writer = object()
    assert sinks.of(send_of(httptools_impl, response)) is NO_SINK
    assert sinks.of(send_of(h11_impl, response)) is NO_SINK
    assert not caplog.records


def wrapped(send: Any) -> Any:
    """Wrap ``send`` as middleware does."""

    @functools.wraps(send)
    async def wrapper(message: Any) -> None:
        await send(message)

    return wrapper


def decorated(send: Any) -> Any:
    """Return the method as it is once its class' method has been replaced, as instrumentation does."""

    @functools.wraps(send.__func__)
    async def wrapper(self: Any, message: Any) -> None:
        await send.__func__(self, message)

    return MethodType(wrapper, send.__self__)


def overridden(send: Any) -> Any:
    """Return the method of a subclass."""

    class RequestResponseCycle(httptools_impl.RequestResponseCycle):
        async def send(self, message: Any) -> None:
            await super().send(message)

    return MethodType(RequestResponseCycle.send, send.__self__)


WRAPPERS = [wrapped, decorated, overridden, lambda send: functools.partial(wrapped(send)), lambda _: object()]


@both
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_wrapped_send_is_used(module: Any, wrap: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert sinks.of(wrap(send_of(module, cycle()))) is NO_SINK
    assert "wrapped" in caplog.text


class Server(Transport):
    """A transport as Twisted has it, whose socket takes as many bytes as the test says."""

    TLS = False
    connected = 1

    def __init__(self) -> None:
        super().__init__()
        self.dataBuffer = b""
        self._tempDataBuffer: list[bytes] = []
        self.sent: list[bytes] = []
        self.room: int | Exception = 1000

    def writeSomeData(self, data: bytes) -> int | Exception:  # noqa: N802 - Twisted's name
        """Send what the socket takes."""
        if isinstance(self.room, Exception):
            return self.room
        self.sent.append(data[: self.room])
        return len(self.sent[-1])


Server.__module__ = "twisted.internet.tcp"


def request(transport: Server) -> SimpleNamespace:
    """Return a request of Daphne's, as far as sinks know it."""
    return SimpleNamespace(channel=SimpleNamespace(transport=transport), chunked=1)


def test_twisted_is_passed_by_while_its_buffers_are_empty() -> None:
    transport = Server()
    sink = sinks._daphne(None, request(transport))
    assert sink.write(b"event")
    transport._tempDataBuffer = [b"waits"]
    assert not sink.write(b"event")
    transport._tempDataBuffer, transport.dataBuffer = [], b"waits"
    assert not sink.write(b"event")
    assert (transport.sent, transport.written) == ([b"5\r\nevent\r\n"], [])


def test_twisted_gets_the_rest_that_the_socket_does_not_take() -> None:
    transport = Server()
    transport.room = 4
    assert sinks._daphne(None, request(transport)).write(b"event")
    assert (transport.sent, transport.written) == ([b"5\r\ne"], [b"vent\r\n"])


def test_connection_of_twisted_that_is_lost_or_serves_another_request_is_not_written_to() -> None:
    transport = Server()
    ours = request(transport)
    sink = sinks._daphne(None, ours)
    transport.room = OSError()
    assert not sink.write(b"lost")
    transport.room = 1000
    transport.connected = 0
    assert not sink.write(b"lost")
    transport.connected = 1
    ours.channel = None
    assert not sink.write(b"ended")
    assert (transport.sent, transport.written) == ([], [])


def test_twisted_with_tls_or_without_chunks_is_sent_to_by_send() -> None:
    transport = Server()
    whole = request(transport)
    whole.chunked = 0
    assert sinks._daphne(None, whole) is NO_SINK
    transport.TLS = True
    assert sinks._daphne(None, request(transport)) is NO_SINK


def test_client_that_has_gone_before_the_first_chunk_has_no_sink() -> None:
    gone = request(Server())
    gone.channel = None
    assert sinks._daphne(None, gone) is NO_SINK
