"""What a client reads is what its stream was given, whether the server's ``send`` or a sink has written it."""

import asyncio
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ayb_realtime.wire.sse import heartbeat
from embedded import Child, free_port
from tests.example import MANAGE, answers
from tests.integration.server.sink_site import GREETING, LAST_WORDS, chunks

APPLICATION = "tests.integration.server.sink_site:application"
UVICORN = ("-m", "uvicorn", APPLICATION, "--port", "{port}", "--lifespan", "off")
SERVERS = {
    "httptools, uvloop": (*UVICORN, "--http", "httptools", "--loop", "uvloop"),
    "httptools, asyncio": (*UVICORN, "--http", "httptools", "--loop", "asyncio"),
    "h11, uvloop": (*UVICORN, "--http", "h11", "--loop", "uvloop"),
    "h11, asyncio": (*UVICORN, "--http", "h11", "--loop", "asyncio"),
    "serve": ("-m", "tests.integration.server.sink_site", "{port}"),
    "hypercorn": ("-m", "hypercorn", APPLICATION, "--bind", "127.0.0.1:{port}", "--workers", "0"),
    "granian": ("-m", "granian", "--interface", "asginl", APPLICATION, "--port", "{port}"),
}
SINKS = {"serve": "_TwistedSink", "hypercorn": "_NoSink", "granian": "_NoSink"}
SEEDS = range(2)
# How many clients read at once, how many when all is over, and how many leave.
FAST, SLOW, LEAVING = 3, 2, 2
END = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that runs."""

    name: str
    port: int
    log: Path

    @property
    def sink(self) -> str:
        """The name of the class that its sinks have."""
        return SINKS.get(self.name, "_UvicornSink")


@contextmanager
def serving(name: str, folder: Path, **environment: str) -> Iterator[Serving]:
    """Serve the site."""
    port, log = free_port(), folder / "server.log"
    command = [sys.executable, *(part.format(port=port) for part in SERVERS[name])]
    child = Child.start(command, log=log, env={**os.environ, **environment}, cwd=MANAGE.parent)
    try:
        child.wait_until(lambda: answers(f"http://127.0.0.1:{port}"))
        yield Serving(name, port, log)
    finally:
        child.stop()


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Each of the servers."""
    with serving(request.param, tmp_path_factory.mktemp("server")) as running:
        yield running


class Client:
    """A raw connection that asks for a stream.

    Its receive buffer is the system's: Linux drops what does not fit into a small one, and sends it again ever later.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.received = bytearray()
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket()
        self._socket.setblocking(False)

    async def open(self, port: int, version: str = "1.1") -> None:
        """Open the stream, and read its greeting."""
        await self._loop.sock_connect(self._socket, ("127.0.0.1", port))
        request = f"GET /?n={self.number} HTTP/{version}\r\nHost: 127.0.0.1\r\n\r\n"
        await self._loop.sock_sendall(self._socket, request.encode())
        while GREETING not in self.received:
            assert await self.read()

    async def read(self) -> bool:
        """Read some bytes; return whether there were any."""
        more = await self._loop.sock_recv(self._socket, 65536)
        self.received += more
        return bool(more)

    async def read_all(self) -> None:
        """Read until the response ends."""
        while not self.received.endswith(END) and await self.read():
            pass
        self.close()

    async def leave_after(self, size: int) -> None:
        """Read this many bytes, and close the connection."""
        while len(self.received) < size and await self.read():
            pass
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    @property
    def events(self) -> bytes:
        """What was received, without the frames of chunks and without heartbeats."""
        head, _, body = bytes(self.received).partition(b"\r\n\r\n")
        if b"chunked" in head.lower():
            body = dechunked(body)
        return body.replace(heartbeat(0), b"")


def dechunked(framed: bytes) -> bytes:
    """Take chunks out of their frames, up to the last chunk, or to one that was cut off."""
    chunks, at = [], 0
    while at < len(framed):
        size, _, _ = framed[at : at + 20].partition(b"\r\n")
        begin = at + len(size) + 2
        at = begin + int(size, 16) + 2
        chunks.append(framed[begin : at - 2])
        assert b"\r\n".startswith(framed[at - 2 : at])
    return b"".join(chunks)


async def played(port: int, seed: int) -> tuple[list[Client], list[Client], dict[str, Any]]:
    """Open streams and play; return the clients that read to the end, those that left, and what each was given."""
    clients = [Client(number) for number in range(FAST + SLOW + LEAVING)]
    for client in clients:
        await client.open(port)
    stay, leave = clients[: FAST + SLOW], clients[FAST + SLOW :]
    async with httpx.AsyncClient(timeout=60) as http, asyncio.timeout(60), asyncio.TaskGroup() as reading:
        for client in stay[:FAST]:
            reading.create_task(client.read_all())
        for client in leave:
            reading.create_task(client.leave_after(client.number * 10_000))
        report = (await http.get(f"http://127.0.0.1:{port}/?seed={seed}")).json()
        for client in stay[FAST:]:
            reading.create_task(client.read_all())
    return stay, leave, report


def expected(seed: int, given: dict[str, Any]) -> bytes:
    """Return what the client of a stream that was given this should have read."""
    every = chunks(seed)
    return GREETING + b"".join(every[number] for number in given["given"]) + LAST_WORDS * int(given["is_ended_by_us"])


async def test_clients_read_what_their_streams_were_given(server: Serving) -> None:
    written = ended = 0
    for seed in SEEDS:
        stay, leave, report = await played(server.port, seed)
        for client in stay:
            given = report[str(client.number)]
            assert given["sink"] == server.sink
            assert client.events == expected(seed, given)
            written += given["written"]
            ended += not given["is_ended_by_us"]
        for client in leave:
            assert expected(seed, report[str(client.number)]).startswith(client.events[:1000])
    assert (written > 0) is (server.sink != "_NoSink")
    # Those that did not read.
    assert ended
    assert "Traceback" not in server.log.read_text()
    assert server.log.read_text().count("sent by ASGI's send") == (server.sink == "_NoSink")


async def test_client_of_http_1_0_reads_what_its_stream_was_given(server: Serving) -> None:
    client = Client(0)
    await client.open(server.port, "1.0")
    async with httpx.AsyncClient(timeout=60) as http, asyncio.timeout(60), asyncio.TaskGroup() as reading:
        reading.create_task(client.read_all())
        report = (await http.get(f"http://127.0.0.1:{server.port}/?seed=1")).json()
    assert client.events == expected(1, report["0"])


@pytest.mark.parametrize("name", ["httptools, uvloop", "serve"])
async def test_server_of_unknown_version_is_sent_to_by_send_and_one_line_says_so(name: str, tmp_path: Path) -> None:
    with serving(name, tmp_path, UNKNOWN_VERSIONS="1") as unknown:
        stay, _, report = await played(unknown.port, 1)
    for client in stay:
        assert report[str(client.number)]["sink"] == "_NoSink"
        assert client.events == expected(1, report[str(client.number)])
    said = re.findall("INFO.*sent by ASGI's send.*this version of (?:uvicorn|daphne)", unknown.log.read_text())
    assert len(said) == 1
