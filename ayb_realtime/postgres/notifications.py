"""Connections that LISTEN: the relay's, and, without a Channels layer, one of each hub."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, NoReturn
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


async def hear(listener: Connection, heard: Callable[[str], object]) -> NoReturn:
    """Call ``heard`` with the payload of every notification; probe the connection now and then.

    Raises psycopg.Error or TimeoutError if the connection is lost.
    """
    while True:
        async for each in listener.notifies(timeout=PROBE_SECONDS):
            heard(each.payload)
        async with asyncio.timeout(ANSWER_SECONDS):
            await listener.execute("select 1")
