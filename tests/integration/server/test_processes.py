"""The example as deployed: several web processes, a relay process, Redis or Valkey between them."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse
from rest_framework_simplejwt.tokens import AccessToken

from embedded import Child, free_port
from example_project.blog.demo import Account
from tests.example import AUTHOR, COLLEAGUE, MANAGE, STRANGER, Example, answers

STREAMS = 200
CONNECTIONS_MAX = 16


class Stream:
    """One open stream, and its next change."""

    def __init__(self, client_id: str, events: AsyncIterator[ServerSentEvent]) -> None:
        self.client_id = client_id
        self.events = events

    async def next(self) -> Any:
        """Return the next change, with time enough for a slow machine."""
        async with asyncio.timeout(60):
            while not (event := await anext(self.events)).data:  # a heartbeat
                pass
            return event.json()


@asynccontextmanager
async def streaming(client: httpx.AsyncClient, address: str, token: str) -> AsyncIterator[Stream]:
    """Open a stream of posts; enter the block when it misses no further change."""
    parameters = {"tables": "posts", "token": token}
    async with aconnect_sse(client, "GET", f"{address}/api/realtime", params=parameters) as source:
        events = source.aiter_sse()
        connected = await anext(events)
        assert connected.event == "connected"
        yield Stream(connected.json()["clientId"], events)


def web_process(example: Example) -> tuple[Child, str]:
    """Start a web process; return it and its address once it answers."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    options = ["--port", str(port), "--timeout-graceful-shutdown", "1"]
    child = example.run("-m", "uvicorn", "example_project.asgi:application", *options)
    child.wait_until(lambda: answers(address))
    return child, address


@pytest.mark.parametrize("layer", ["pubsub", "core", ""])
async def test_write_reaches_subscribers_of_both_web_processes(seeded_url: str, tmp_path: Path, layer: str) -> None:
    example = Example(seeded_url, tmp_path, REDIS_URL=os.environ["REDIS_URL"] if layer else "", CHANNEL_LAYER=layer)
    relay = example.run(str(MANAGE), "runrealtime")
    children = [relay]
    try:
        addresses = []
        for _ in range(2):
            child, address = web_process(example)
            children.append(child)
            addresses.append(address)
        relay.wait_until(lambda: "relay leads" in example.log())
        tokens = [example.token(AUTHOR, addresses[0]), example.token(STRANGER, addresses[1])]
        await assert_a_post_reaches_both(example, addresses, tokens)
    finally:
        codes = [child.stop() for child in reversed(children)]
    assert codes[-1] == 0
    assert "Traceback" not in example.log()
    assert "no word of new changes" not in example.log()


async def assert_a_post_reaches_both(example: Example, addresses: list[str], tokens: list[str]) -> None:
    """Subscribe at each web process and write one post."""
    async with httpx.AsyncClient(timeout=None) as client, AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(streaming(client, address, token))
            for address, token in zip(addresses, tokens, strict=True)
        ]
        example.add_post("for both", published=True)
        assert [(await stream.next())["record"]["title"] for stream in streams] == ["for both", "for both"]


async def test_newer_token_that_another_process_is_sent_lets_the_stream_go_on(seeded_url: str, tmp_path: Path) -> None:
    example = Example(seeded_url, tmp_path, REDIS_URL=os.environ["REDIS_URL"])
    children = [example.run(str(MANAGE), "runrealtime")]
    try:
        children[0].wait_until(lambda: "relay leads" in example.log())
        addresses = []
        for _ in range(2):
            child, address = web_process(example)
            children.append(child)
            addresses.append(address)
        await assert_outlives_its_token(example, *addresses)
    finally:
        for child in reversed(children):
            child.stop()
    assert "Traceback" not in example.log()


async def assert_outlives_its_token(example: Example, address: str, other: str) -> None:
    """Open a stream at one process and send another one what comes next; read the stream until its token has ended."""
    first, second = token_of(AUTHOR, seconds=8), token_of(AUTHOR, seconds=600)
    async with httpx.AsyncClient(timeout=None) as client, streaming(client, address, str(first)) as stream:
        url = f"{other}/api/realtime/{stream.client_id}/token"
        for token, status in [(token_of(STRANGER, seconds=600), 403), (second, 204)]:
            response = await client.post(url, headers={"Authorization": f"Bearer {token}"})
            assert response.status_code == status, response.text
        while time.time() < first["exp"] + 3:
            example.add_post("still here", published=True)
            assert (await stream.next())["record"]["title"] == "still here"


def token_of(account: Account, seconds: float) -> AccessToken:
    """Return an access token that lasts this long."""
    token = AccessToken()
    token.set_exp(lifetime=timedelta(seconds=seconds))
    token["user_id"] = str(account.id)
    return token


async def test_open_streams_hold_no_database_connections(seeded_url: str, tmp_path: Path) -> None:
    example = Example(seeded_url, tmp_path)
    example.start()
    try:
        tokens = [example.token(account) for account in (AUTHOR, COLLEAGUE, STRANGER)]
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(timeout=None, limits=limits) as client, AsyncExitStack() as stack:
            opening = [
                stack.enter_async_context(streaming(client, example.address, tokens[number % len(tokens)]))
                for number in range(STREAMS)
            ]
            streams = [await stream for stream in opening]
            example.add_post("for everyone", published=True)
            titles = {(await stream.next())["record"]["title"] for stream in streams}
            connections = connections_to(seeded_url)
    finally:
        example.stop()
    assert titles == {"for everyone"}
    assert connections <= CONNECTIONS_MAX


def connections_to(database_url: str) -> int:
    """Count the database's client connections, except this one."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])
