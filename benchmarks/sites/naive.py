"""A Channels consumer for each client, without hub or log: it forwards what its group is sent.

With BENCH_TABLE it first asks Postgres, over a pooled connection, whether its user sees the row.
"""

import json
import os
from typing import Any
from urllib.parse import parse_qs

from channels.generic.http import AsyncHttpConsumer
from channels.layers import get_channel_layer
from django.core.asgi import get_asgi_application
from psycopg_pool import AsyncConnectionPool

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.sites.settings")
get_asgi_application()

TABLE = os.environ["BENCH_TABLE"]
ASKS = TABLE != "bench_open"
SEES = f"select exists (select from {TABLE} where stamp = %s)"  # noqa: S608
HEADERS = [(b"Content-Type", b"text/event-stream")]

_pools: list[AsyncConnectionPool[Any]] = []


async def _pool() -> AsyncConnectionPool[Any]:
    if not _pools:
        _pools.append(AsyncConnectionPool(os.environ["DATABASE_URL"], max_size=8, open=False, timeout=300))
        await _pools[0].open()
    return _pools[0]


class Publish(AsyncHttpConsumer):
    """Send each line to the group."""

    async def handle(self, body: bytes) -> None:
        """Send each line to the group, and answer 200."""
        layer = get_channel_layer()
        assert layer is not None  # noqa: S101
        for line in body.decode().split("\n"):
            await layer.group_send("bench", {"type": "bench.event", "text": line})
        await self.send_response(200, b"")


class Events(AsyncHttpConsumer):
    """A client's stream."""

    async def handle(self, body: bytes) -> None:
        """Join the group, and stream until the client leaves."""
        self.user = parse_qs(self.scope["query_string"].decode())["user"][0]
        await self.channel_layer.group_add("bench", self.channel_name)
        await self.send_headers(headers=HEADERS)
        await self.send_body(b": connected\n\n", more_body=True)

    async def http_request(self, message: Any) -> None:
        """Keep the response open after ``handle``, which the base class would end."""
        await self.handle(message.get("body", b""))

    async def bench_event(self, message: dict[str, Any]) -> None:
        """Forward an event, if it is for this user."""
        if not ASKS or await self._sees(json.loads(message["text"])["record"]["stamp"]):
            await self.send_body(f"data: {message['text']}\n\n".encode(), more_body=True)

    async def _sees(self, stamp: str) -> bool:
        pool = await _pool()
        async with pool.connection() as connection, connection.transaction():
            await connection.execute(
                "select set_config('role', 'ayb_authenticated', true), set_config('ayb.user_id', %s, true)", [self.user]
            )
            row = await (await connection.execute(SEES.encode(), [stamp])).fetchone()
            return bool(row and row[0])


_events, _publish = Events.as_asgi(), Publish.as_asgi()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Route a request to its consumer."""
    if scope["type"] == "http":
        await (_events if scope["path"] == "/events" else _publish)(scope, receive, send)
