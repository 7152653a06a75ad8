"""A client that does not read costs its buffer and no more, and nobody else anything."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from httpx_sse import aconnect_sse

from example_project.embedded import Child
from tests.example import AUTHOR, Example, answers, database

ROWS, ROW_BYTES = 100, 1_000_000
CLIENTS = 5
# The server may hold what one run of changes takes, and each client its buffer of 1 MiB and what is on its way.
GROWTH_BYTES_MAX = 60_000_000


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    """The example, prepared."""
    with database(os.environ["DATABASE_URL"]) as url:
        example = Example(url, tmp_path)
        example.prepare()
        yield example


def resident_bytes(child: Child) -> int:
    """Return how much memory a process holds."""
    lines = Path(f"/proc/{child.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def connect_and_never_read(example: Example, token: str) -> socket.socket:
    """Open a stream, read its beginning, and then no more."""
    client = socket.create_connection(("127.0.0.1", example.port), timeout=30)
    client.sendall(f"GET /api/realtime?tables=posts&token={token} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert b"200" in client.recv(4096)
    return client


async def test_client_that_never_reads_is_let_go_and_others_get_everything(example: Example) -> None:
    example.start()
    assert example.server is not None
    try:
        token = example.token(AUTHOR)
        idle = [connect_and_never_read(example, token) for _ in range(CLIENTS)]
        parameters = {"tables": "posts", "token": token}
        async with (
            httpx.AsyncClient(timeout=60) as client,
            aconnect_sse(client, "GET", f"{example.address}/api/realtime", params=parameters) as source,
        ):
            events = source.aiter_sse()
            assert (await anext(events)).event == "connected"
            before = resident_bytes(example.server)
            for _ in range(ROWS):
                with psycopg.connect(example.database_url) as connection:
                    connection.execute(
                        "insert into posts (author_id, title, body, published, created_at, updated_at)"
                        " values (%s, 'large', repeat('x', %s), true, now(), now())",
                        [AUTHOR.id, ROW_BYTES],
                    )
                async with asyncio.timeout(60):
                    while not (event := await anext(events)).data:
                        pass
                assert len(event.data) > ROW_BYTES
            assert resident_bytes(example.server) - before < GROWTH_BYTES_MAX
    finally:
        # Also while clients that do not read are connected.
        code = example.stop()
    for client_socket in idle:
        client_socket.close()
    assert answers(example.address) is False
    assert code == 0
    assert "Traceback" not in example.log()
