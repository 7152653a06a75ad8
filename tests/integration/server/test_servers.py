"""A server that is told to stop ends its streams, and their clients resume at another one."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import redis

from embedded import free_port, valkey
from tests.example import AUTHOR, Example, answers
from tests.servers import SERVERS, Server, deployed, every_server

STREAMS = 20
POSTS = "tables=posts&token={token}"


async def read_until(lines: asyncio.StreamReader, found: bytes) -> bytes:
    """Return everything up to the end of the line that contains this."""
    read = b""
    async with asyncio.timeout(60):
        while found not in read:
            read += await lines.readline()
    return read


async def opened(client: httpx.AsyncClient, stack: AsyncExitStack, url: str) -> asyncio.StreamReader:
    """Open a stream and read its beginning; return the rest, which ends where the response does."""
    response = await stack.enter_async_context(client.stream("GET", url))
    reader = asyncio.StreamReader()

    async def feed() -> None:
        try:
            async for chunk in response.aiter_bytes():
                reader.feed_data(chunk)
            reader.feed_eof()
        except httpx.HTTPError as error:  # such as an end in the middle of a response
            reader.set_exception(error)

    feeding = asyncio.create_task(feed())
    stack.callback(feeding.cancel)
    await read_until(reader, b"clientId")
    return reader


@every_server
async def test_streams_end_when_the_server_is_told_to_stop_and_clients_are_told_when_to_come_back(
    seeded_url: str, tmp_path: Path, server: Server
) -> None:
    with deployed(seeded_url, tmp_path, server, limited=False) as example:
        url = f"{example.address}/api/realtime?{POSTS.format(token=example.token(AUTHOR))}"
        async with httpx.AsyncClient(timeout=60) as client, AsyncExitStack() as stack:
            streams = [await opened(client, stack, url) for _ in range(STREAMS)]
            stopping = asyncio.create_task(asyncio.to_thread(example.stop))
            async with asyncio.timeout(60):
                ends = [await stream.read() for stream in streams]
            code = await stopping
    waits = [re.findall(rb"^retry: (\d+)\n\n\Z", end, re.MULTILINE) for end in ends]
    assert all(waits)
    assert len({wait for (wait,) in waits}) > STREAMS / 2
    assert code == server.code
    assert "Traceback" not in example.log()


async def test_streams_end_when_the_server_recycles_its_process(seeded_url: str, tmp_path: Path) -> None:
    uvicorn = next(server for server in SERVERS if server.name == "uvicorn")
    recycled = replace(uvicorn, arguments=(*uvicorn.arguments, "--limit-max-requests", "20"))
    with deployed(seeded_url, tmp_path, recycled, limited=False) as example:
        url = f"{example.address}/api/realtime?{POSTS.format(token=example.token(AUTHOR))}"
        async with httpx.AsyncClient(timeout=60) as client, AsyncExitStack() as stack:
            stream = await opened(client, stack, url)
            for _ in range(20):
                with suppress(httpx.TransportError):  # It may have stopped listening.
                    await client.get(example.address)
            async with asyncio.timeout(60):
                end = await stream.read()
            assert example.server
            assert await asyncio.to_thread(example.server.process.wait, 60) == 0
    assert re.search(rb"^retry: \d+\n\n\Z", end, re.MULTILINE)
    assert "Traceback" not in example.log()


async def test_client_goes_on_at_another_server_without_a_gap(seeded_url: str, tmp_path: Path) -> None:
    uvicorn = next(server for server in SERVERS if server.name == "uvicorn")
    with deployed(seeded_url, tmp_path, uvicorn, limited=False) as example, another(example, uvicorn) as address:
        path = f"/api/realtime?{POSTS.format(token=example.token(AUTHOR))}"
        async with httpx.AsyncClient(timeout=60) as client, AsyncExitStack() as stack:
            stream = await opened(client, stack, example.address + path)
            example.add_post("before", published=True)
            read = await read_until(stream, b'"before"')
            await asyncio.to_thread(example.stop)
            read += await stream.read()
            position = re.findall(rb"^id: (\d+)$", read, re.MULTILINE)[-1].decode()
            example.add_post("meanwhile", published=True)
            resumed = await opened(client, stack, f"{address}{path}&last_event_id={position}")
            example.add_post("after", published=True)
            titles = re.findall(rb'"title":"(\w+)"', await read_until(resumed, b'"after"'))
    assert titles == [b"meanwhile", b"after"]


@contextmanager
def another(example: Example, server: Server) -> Iterator[str]:
    """Serve the example by another process as well; yield its address."""
    port = free_port()
    child = example.run(*server.command(port, limited=False))
    try:
        child.wait_until(lambda: answers(f"http://127.0.0.1:{port}"))
        yield f"http://127.0.0.1:{port}"
    finally:
        child.stop()


@pytest.mark.parametrize(("server", "layer"), [(SERVERS[0], "core"), (SERVERS[1], "pubsub")], ids=["core", "pubsub"])
async def test_server_and_relay_stop_although_redis_hangs(
    seeded_url: str, tmp_path: Path, server: Server, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey(tmp_path / "valkey") as url:
        monkeypatch.setenv("REDIS_URL", url)
        monkeypatch.setenv("CHANNEL_LAYER", layer)
        with redis.Redis.from_url(url) as connection:
            process = int(connection.info("server")["process_id"])
        try:
            with deployed(seeded_url, tmp_path, server, limited=True) as example:
                path = f"/api/realtime?{POSTS.format(token=example.token(AUTHOR))}"
                async with httpx.AsyncClient(timeout=60) as client, AsyncExitStack() as stack:
                    stream = await opened(client, stack, example.address + path)
                    os.kill(process, signal.SIGSTOP)
                    late = await opened(client, stack, example.address + path)
                    example.add_post("meanwhile", published=True)
                    await read_until(stream, b'"meanwhile"')
                    await read_until(late, b'"meanwhile"')
                    # It was not killed: that would be another signal.
                    assert await asyncio.to_thread(example.stop) == server.code
        finally:
            os.kill(process, signal.SIGCONT)
