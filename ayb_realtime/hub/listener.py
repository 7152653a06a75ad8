"""Hears the relay's notifications on a connection of its own, where there is no Channels layer. The hub runs it.

They say only how far the log goes. Like the layer they are a hint: a lost connection costs time and nothing else.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any, NoReturn

import psycopg
from psycopg_pool import AsyncConnectionPool

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import InvalidMessage
from ayb_realtime.hub.feed import Feed
from ayb_realtime.hub.quiet_logger import QuietLogger
from ayb_realtime.log import queries
from ayb_realtime.log.messages import from_payload
from ayb_realtime.postgres import database, notifications, sessions

RETRY_SECONDS = 1.0

FAILS = "the connection that listens for new changes fails (%s); they are read from the log meanwhile"
DROPPED = "a notification is dropped: %s. Changes that no other brings are read from the log"


class Listener:
    """Listens to the channel that has the name of the log's group.

    group: the log's group, as it was when the connection was last made. The server's restart, which changes it, ends
        the connection.
    """

    def __init__(self, pool: AsyncConnectionPool[Any], feed: Feed) -> None:
        self.group = ""
        self._pool = pool
        self._feed = feed
        self._logger = QuietLogger(logging.getLogger(__package__))

    async def start(self) -> None:
        """Ask Postgres for the log's group. Raises psycopg.Error or PoolTimeout."""
        async with self._pool.connection() as connection:
            self.group = await queries.group(connection)

    def tasks(self) -> Iterable[Coroutine[Any, Any, NoReturn]]:
        """Return what has to run as long as the hub does."""
        return (self._run(),)

    async def close(self) -> None:
        """Do nothing: its task has closed the connection."""

    async def _run(self) -> NoReturn:
        while True:
            try:
                async with await database.connect(conf.database) as connection:
                    await self._listen(connection)
            except (psycopg.Error, OSError) as error:  # TimeoutError, which has no text, is one.
                self._logger.warning(FAILS, str(error) or type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self, connection: queries.Connection) -> NoReturn:
        await sessions.settle(connection)
        self.group = await queries.group(connection)
        await notifications.listen(connection, self.group)
        # What was announced until now was not heard.
        self._feed.distrust_head()
        await notifications.hear(connection, self._take)

    def _take(self, payload: str) -> None:
        """Pass a head to the feed if a relay of this log has sealed it: any role of the database may notify."""
        try:
            self._feed.accept(from_payload(payload, self.group))
        except InvalidMessage as error:
            self._logger.warning(DROPPED, error)
