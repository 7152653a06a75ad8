"""Open streams on each server: none uses a thread, each gets everything, and each ends when its client leaves."""

import asyncio
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from ayb_realtime.asgi import HEADER
from tests.example import AUTHOR, Example
from tests.servers import Server, deployed, every_server

STREAMS = 20
# More than the buffers of two sockets hold.
ROWS, ROW_BYTES = 10, 1_000_000
INSERT = """insert into posts (author_id, title, body, published, created_at, updated_at)
            values (%s, 'large', repeat('x', %s), true, now(), now())"""

Lines = asyncio.Queue[str]


async def observed(client: httpx.AsyncClient, example: Example) -> dict[str, int]:
    """Return what the server holds."""
    held: dict[str, int] = (await client.get(f"{example.address}/observed")).raise_for_status().json()
    return held


async def opened(client: httpx.AsyncClient, stack: AsyncExitStack, url: str) -> tuple[httpx.Headers, Lines]:
    """Open a stream; return its headers and its lines."""
    response = await stack.enter_async_context(client.stream("GET", url))
    lines = Lines()

    async def read() -> None:
        async for line in response.aiter_lines():
            lines.put_nowait(line)

    reading = asyncio.create_task(read())
    stack.callback(reading.cancel)
    await read_until(lines, "clientId")
    return response.headers, lines


async def read_until(lines: Lines, found: str) -> None:
    """Read up to the line that contains this."""
    async with asyncio.timeout(60):
        while found not in await lines.get():
            pass


def connected(example: Example, path: str) -> socket.socket:
    """Open a stream, read its beginning, then stop reading."""
    client = socket.create_connection(("127.0.0.1", example.port), timeout=30)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert b"200" in client.recv(4096)
    return client


@every_server
async def test_streams_have_no_threads_and_leave_nothing(seeded_url: str, tmp_path: Path, server: Server) -> None:
    with deployed(seeded_url, tmp_path, server, limited=True, settings="tests.observed.settings") as example:
        path = f"/api/realtime?tables=posts&token={example.token(AUTHOR)}"
        async with httpx.AsyncClient(timeout=60) as client:
            async with AsyncExitStack() as stack:
                await opened(client, stack, example.address + path)
                one = await observed(client, example)
                streams = [await opened(client, stack, example.address + path) for _ in range(STREAMS)]
                many = await observed(client, example)
                example.add_post("everybody's", published=True)
                for headers, lines in streams:
                    assert headers["X-Content-Type-Options"] == "nosniff"
                    assert HEADER not in headers
                    await read_until(lines, "everybody's")
            silent = connected(example, path)
            for _ in range(ROWS):
                example.write(INSERT, AUTHOR.id, ROW_BYTES)
            silent.close()
            async with asyncio.timeout(60):
                while (none := await observed(client, example))["tasks"] >= one["tasks"]:
                    pass
    assert (one["subscribers"], many["subscribers"], none["subscribers"]) == (1, 1 + STREAMS, 0)
    # The number of threads that answer ordinary requests varies.
    assert many["threads"] < one["threads"] + STREAMS / 2
    assert "Traceback" not in example.log()
