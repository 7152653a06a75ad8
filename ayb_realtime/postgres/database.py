"""Postgres connections of psycopg's own, made from Django's settings; and the package's SQL files."""

import selectors
import time
from functools import cache
from importlib.resources import files
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connections
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from ayb_realtime.conf import conf

# A connection whose other end is gone without a word is noticed within about ten seconds, also where it waits for an
# answer; one that is being made, within five.
NOTICE_LOSS = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# How long the pool may keep whoever asks it, and tries to connect, before the next who asks makes it try anew: its own
# pauses between attempts double, and would outlast an outage by as much again.
POOL_SECONDS = 2.0
# How long a connection that was taken is held to be alive, while nothing comes from the other end, such as its end.
FRESH_SECONDS = 1.0


@cache
def sql(name: str) -> bytes:
    """Return the SQL file ``sql/{name}.sql``."""
    return (files("ayb_realtime") / "sql" / f"{name}.sql").read_bytes()


def connection_parameters(database: str) -> dict[str, Any]:
    """Return psycopg's arguments for the database with this alias, less Django's own cursors and adapters."""
    parameters = dict(connections[database].get_connection_params())
    parameters.pop("cursor_factory", None)
    parameters.pop("context", None)
    return {**NOTICE_LOSS, **parameters, "autocommit": True, "row_factory": tuple_row}


async def connect(database: str) -> psycopg.AsyncConnection[Any]:
    """Open one connection, in autocommit mode. Raises psycopg.OperationalError."""
    return await psycopg.AsyncConnection.connect(**connection_parameters(database))


async def read_one_snapshot(connection: psycopg.AsyncConnection[Any]) -> None:
    """Let a connection's transactions be read-only, and see one snapshot."""
    await connection.set_read_only(True)
    await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)


# When the pool last handed out a connection.
_taken_at: WeakKeyDictionary[psycopg.AsyncConnection[Any], float] = WeakKeyDictionary()


async def _check(connection: psycopg.AsyncConnection[Any]) -> None:
    """Ask whether a connection is still there, unless it was a moment ago, and the other end has sent nothing since."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        has_news = bool(selector.select(timeout=0))
    now = time.monotonic()
    if has_news or now - _taken_at.get(connection, float("-inf")) > FRESH_SECONDS:
        await AsyncConnectionPool.check_connection(connection)
    _taken_at[connection] = now


def pool() -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
    """Return a pool, not yet open, whose transactions are read-only and see one snapshot."""

    return AsyncConnectionPool(
        kwargs=connection_parameters(conf.database),
        configure=read_one_snapshot,
        # After a restart of Postgres its old connections are replaced here, not found broken by whoever takes one.
        check=_check,
        timeout=POOL_SECONDS,
        reconnect_timeout=POOL_SECONDS,
        min_size=1,
        max_size=conf.pool_size,
        open=False,
        name="ayb_realtime",
    )
