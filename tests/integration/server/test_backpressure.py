"""A client that does not read costs no more than its buffer, and delays no other client."""

import asyncio
import socket
from pathlib import Path

import psutil

from embedded import Child
from tests.example import AUTHOR, Example, answers
from tests.servers import Server, deployed, every_server

ROWS, ROW_BYTES = 70, 1_000_000
# The first row is larger than a client's buffer of 1 MiB. All wait for the same bytes.
LARGEST_BYTES = 2_400_000
CLIENTS = 40
# The server may hold one slice of changes, and for each client what is under way.
GROWTH_BYTES_MAX = 80_000_000
INSERT = """insert into posts (author_id, title, body, published, created_at, updated_at)
            values (%s, 'large', repeat('x', %s), true, now(), now())"""


def resident_bytes(child: Child) -> int:
    """Return how much memory a process holds, together with its workers."""
    process = psutil.Process(child.process.pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def request(token: str) -> bytes:
    """Return the request for a stream of posts."""
    return f"GET /api/realtime?tables=posts&token={token} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def connect_and_never_read(example: Example, token: str) -> socket.socket:
    """Open a stream, read its beginning, then stop reading."""
    client = socket.create_connection(("127.0.0.1", example.port), timeout=30)
    client.sendall(request(token))
    assert b"200" in client.recv(4096)
    return client


def close(clients: list[socket.socket]) -> None:
    """Close the connections, which may already be closed."""
    for client in clients:
        client.close()


async def read_large_posts(example: Example, token: str) -> int:
    """Write posts, and read each; return by how much the server's memory has grown."""
    assert example.server is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", example.port, limit=4 * ROW_BYTES)
    writer.write(request(token))
    async with asyncio.timeout(30):
        while b"clientId" not in await reader.readuntil(b"\n\n"):
            pass
    before = resident_bytes(example.server)
    for number in range(ROWS):
        example.write(INSERT, AUTHOR.id, ROW_BYTES if number else LARGEST_BYTES)
        async with asyncio.timeout(60):
            while len(await reader.readuntil(b"\n\n")) < ROW_BYTES:  # a heartbeat
                pass
    growth = resident_bytes(example.server) - before
    writer.close()
    return growth


@every_server
async def test_client_that_never_reads_is_let_go_and_others_get_everything(
    seeded_url: str, tmp_path: Path, server: Server
) -> None:
    with deployed(seeded_url, tmp_path, server, limited=True) as example:
        token = example.token(AUTHOR)
        idle = [connect_and_never_read(example, token) for _ in range(CLIENTS)]
        growth = await read_large_posts(example, token)
        if server.waits:
            close(idle)
        # With a limit, even while clients that do not read are connected.
        code = example.stop()
        assert answers(example.address) is False
        close(idle)
    assert growth < GROWTH_BYTES_MAX
    assert code == server.code
    assert "Traceback" not in example.log()
