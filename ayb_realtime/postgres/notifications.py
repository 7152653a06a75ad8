"""Connections that LISTEN: the relay's, and, without a Channels layer, one of each hub."""

import asyncio
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

# How often a listening connection is probed, and how long an answer may take.
PROBE_SECONDS = 5.0
ANSWER_SECONDS = 5.0

Connection = psycopg.AsyncConnection[Any]


async def listen(connection: Connection, notify_channel: str) -> None:
    """Let a connection hear what is sent to a channel from now on. Raises psycopg.Error."""
    await connection.execute(sql.SQL("listen {}").format(sql.Identifier(notify_channel)).as_string(connection))


async def notify(connection: Connection, notify_channel: str, payload: str) -> None:
    """Send to a channel. Raises psycopg.Error."""
    await connection.execute("select pg_catalog.pg_notify(%s, %s)", [notify_channel, payload])


async def is_heard(listener: Connection, speaker: Connection, notify_channel: str) -> bool:
    """Send a notification, and return whether the listening connection gets it within ANSWER_SECONDS.

    Through a pooler in transaction mode LISTEN succeeds, and hears nothing.
    """
    token = uuid4().hex
    await notify(speaker, notify_channel, token)
    async with aclosing(listener.notifies(timeout=ANSWER_SECONDS)) as heard:
        async for each in heard:
            if each.payload == token:
                return True
    return False


async def next_payloads(listener: Connection) -> list[str]:
    """Wait for notifications, and return their payloads. After PROBE_SECONDS without any, probe the connection: [].

    Raises psycopg.Error or TimeoutError if the connection is lost.
    """
    if payloads := [each.payload async for each in listener.notifies(timeout=PROBE_SECONDS, stop_after=1)]:
        return payloads
    async with asyncio.timeout(ANSWER_SECONDS):
        await listener.execute("select 1")
    return []
