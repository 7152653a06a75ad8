"""Postgres connections of psycopg's own, made from Django's settings; and cursors of Django's for our statements."""

import asyncio
import logging
import os
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from ayb_realtime.conf import conf
from ayb_realtime.postgres import sessions

logger = logging.getLogger(__name__)

Pool = AsyncConnectionPool[Any]

# A dead peer is noticed within about ten seconds, also while we wait for an answer; while connecting, within five.
NOTICE_LOSS = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# How long a request waits for the pool, and how long the pool goes on trying to connect. After that, the next request
# makes it start again: the pauses between its own attempts double, and would outlast an outage by as much again.
POOL_SECONDS = 2.0
# Deliveries alone use these: one for the changes as they come, one for streams that catch up with them.
DELIVERY_CONNECTIONS = 2
# How long after its last use a connection counts as alive without a check, unless the server has sent something.
FRESH_SECONDS = 1.0
# How long a connection waits for an answer, and at least how many times the longest that a check may take.
ANSWER_SECONDS = 30.0
CHECKS = 2.0
# How long who is cancelled while connecting waits for the connection, to close it.
ABANDON_SECONDS = 0.5
NO_CONTEXT = Context()


def connection_parameters(database: str) -> dict[str, Any]:
    """Return psycopg's arguments for the database with this alias, less Django's own cursors and adapters."""
    parameters = dict(connections[database].get_connection_params())
    parameters.pop("cursor_factory", None)
    parameters.pop("context", None)
    # A policy could put a statement of its own in the place of a prepared one of ours.
    ours = {"autocommit": True, "row_factory": tuple_row, "prepare_threshold": None}
    return {**NOTICE_LOSS, **parameters, **ours}


class ImpatientConnection(psycopg.AsyncConnection[Any]):
    """Hangs up if no answer comes. TCP does not notice it if a proxy in between is up, and says nothing."""

    async def wait(self, *arguments: Any, **options: Any) -> Any:
        """Wait for an answer. Raises psycopg.OperationalError if none comes in time."""
        seconds = max(ANSWER_SECONDS, CHECKS * conf.check_timeout_seconds)
        # In a context of its own: asyncio keeps cancelled timers for a while, with what the request has set.
        hanging_up = asyncio.get_running_loop().call_later(seconds, self._hang_up, seconds, context=NO_CONTEXT)
        try:
            return await super().wait(*arguments, **options)
        finally:
            hanging_up.cancel()

    def _hang_up(self, seconds: float) -> None:
        logger.warning(
            "Postgres has not answered for %.0f s: the connection is given up",
            seconds,
            extra={"event_name": "connection_given_up"},
        )
        # psycopg notices it as if Postgres had hung up. A cancelled wait would ask Postgres, and wait for its answer.
        with suppress(OSError), socket.socket(fileno=os.dup(self.pgconn.socket)) as same:
            same.shutdown(socket.SHUT_RDWR)


@contextmanager
def own_cursor(database: str) -> Iterator[CursorWrapper]:
    """Return a cursor of Django's connection for statements that only read.

    They find Postgres' own functions and operators, whatever the site's search path would put in their place.
    """
    with transaction.atomic(database), connections[database].cursor() as cursor:
        cursor.execute("select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)")
        yield cursor
        # The end of a savepoint would keep the search path.
        transaction.set_rollback(True, database)


async def connect(database: str, *, is_patient: bool = False) -> psycopg.AsyncConnection[Any]:
    """Open one connection, in autocommit mode. Raises psycopg.OperationalError.

    is_patient: whether it waits for an answer as long as that takes, such as for a notification.
    """
    made_by = psycopg.AsyncConnection if is_patient else ImpatientConnection
    connecting = asyncio.create_task(made_by.connect(**connection_parameters(database)))
    try:
        connection = await asyncio.shield(connecting)
    except asyncio.CancelledError:
        # psycopg would leave the session to the garbage collector: until then it would be in the way of DROP DATABASE.
        connecting.add_done_callback(_close)
        await asyncio.wait([connecting], timeout=ABANDON_SECONDS)
        raise
    sessions.assume(connection, assumed_role(database))
    _aliases[connection] = database
    return connection


def _close(connecting: "asyncio.Task[psycopg.AsyncConnection[Any]]") -> None:
    """Close a connection that nobody wants any more, if it was made."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().pgconn.finish()


def alias(connection: psycopg.AsyncConnection[Any]) -> str:
    """Return the alias of a connection's database; by default that of the hub's."""
    return _aliases.get(connection, conf.hub_database)


def assumed_role(database: str) -> str | None:
    """Return the role that Django's own connections act as instead of the one that logs in; None: that one."""
    role: str | None = connections[database].settings_dict["OPTIONS"].get("assume_role")
    return role


async def read_one_snapshot(connection: psycopg.AsyncConnection[Any]) -> None:
    """Make a connection's transactions read-only, each with a single snapshot."""
    await connection.set_read_only(True)
    await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)


_aliases: WeakKeyDictionary[psycopg.AsyncConnection[Any], str] = WeakKeyDictionary()
# When the pool last handed out a connection.
_taken_at: WeakKeyDictionary[psycopg.AsyncConnection[Any], float] = WeakKeyDictionary()


async def _ensure_alive(connection: psycopg.AsyncConnection[Any]) -> None:
    """Send a query, unless the connection was used a moment ago and the server has sent nothing since.

    Raises psycopg.OperationalError if it is broken.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        has_news = bool(selector.select(timeout=0))
    now = time.monotonic()
    if has_news or now - _taken_at.get(connection, float("-inf")) > FRESH_SECONDS:
        await AsyncConnectionPool.check_connection(connection)
    _taken_at[connection] = now


def pool(database: str = "", *, size: int = 0) -> Pool:
    """Return a pool, not yet open, whose transactions are read-only, each with a single snapshot.

    database: its alias; by default that of the hub's database.
    size: how many connections it has at most; by default as the settings say.
    """
    database = database or conf.hub_database
    role = assumed_role(database)

    async def configure(connection: psycopg.AsyncConnection[Any]) -> None:
        sessions.assume(connection, role)
        _aliases[connection] = database
        await read_one_snapshot(connection)

    return AsyncConnectionPool(
        connection_class=ImpatientConnection,
        kwargs=connection_parameters(database),
        configure=configure,
        # After a restart of Postgres the old connections are replaced here, before a caller would find them broken.
        check=_ensure_alive,
        timeout=POOL_SECONDS,
        reconnect_timeout=POOL_SECONDS,
        min_size=1,
        max_size=size or conf.pool_size,
        open=False,
        name="ayb_realtime",
    )
