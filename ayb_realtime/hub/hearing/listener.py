"""Hears the relay's notifications on a connection of its own, where there is no Channels layer. The hub runs it.

They say only how far the log goes. The changes are read here: a connection that keeps its plans needs a seventh of
the time. Like the layer this is a hint: a lost connection costs time and nothing else.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any, NoReturn

import psycopg
from psycopg_pool import AsyncConnectionPool

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import InvalidMessage, PositionUnavailable
from ayb_realtime.hub.hearing.feed import Feed
from ayb_realtime.hub.quiet_logger import QuietLogger
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Action, Announcement, Change
from ayb_realtime.log.messages import from_payload
from ayb_realtime.log.slices import SLICE_CHANGES
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
        self._logger = QuietLogger(logging.getLogger("ayb_realtime.hub"))

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
                async with await database.connect(conf.hub_primary(), is_patient=True) as connection:
                    await self._listen(connection)
            except (psycopg.Error, OSError) as error:  # TimeoutError, which has no text, is one.
                self._logger.warning(FAILS, str(error) or type(error).__name__, extra={"event_name": "listener_fails"})
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self, connection: queries.Connection) -> NoReturn:
        await sessions.settle(connection)
        await queries.keep_plans(connection)
        self.group = await queries.group(connection)
        await notifications.listen(connection, self.group)
        # What was announced until now was not heard.
        self._feed.distrust_head()
        while True:
            heads = [self._head(payload) for payload in await notifications.next_payloads(connection)]
            if head := max(heads, default=0):
                self._feed.accept(Announcement(head, await self._read(connection, head)))

    def _head(self, payload: str) -> int:
        """Return the head that a relay of this log has sealed; 0 for anything else: any role may notify."""
        try:
            announcement = from_payload(payload, self.group)
            self._feed.latency.hear(announcement.head, announcement.committed_at)
            return announcement.head
        except InvalidMessage as error:
            self._logger.warning(DROPPED, error, extra={"event_name": "message_dropped"})
            return 0

    async def _read(self, connection: queries.Connection, head: int) -> tuple[Change, ...]:
        """Return the changes up to the head that the feed lacks; () if they are many: it reads those in slices."""
        after = self._feed.reached
        if not 0 < head - after <= SLICE_CHANGES:
            return ()
        with suppress(PositionUnavailable):  # The feed finds out why.
            changes = await queries.read(connection, after=after, upto=head)
            return tuple(change for change in changes if change.action is not Action.EPOCH)
        return ()
