"""Takes the relay's messages out of the Channels layer, and passes them to the feed. The hub runs it.

The layer is a hint: a fault of the layer, or a false message in it, costs time and nothing else.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any, NoReturn

import psycopg
from channels.layers import BaseChannelLayer
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ayb_realtime.exceptions import InvalidMessage
from ayb_realtime.hub.hearing.feed import Feed
from ayb_realtime.hub.quiet_logger import QuietLogger
from ayb_realtime.log import queries
from ayb_realtime.log.messages import from_message

# A layer forgets its groups when Redis is restarted.
REJOIN_SECONDS = 30.0
# How often Postgres is asked for the log's group, which changes when Postgres restarts.
GROUP_SECONDS = 1.0
# How long the layer may take to join or leave a group. The wait for a message has no limit.
ANSWER_SECONDS = 2.0
RETRY_SECONDS = 1.0

# What a layer raises for what it cannot read or assign: it is not what it writes, or is encrypted with another key.
UNREADABLE: tuple[type[Exception], ...] = (InvalidMessage, TypeError, ValueError, asyncio.QueueEmpty)
with suppress(ImportError):  # Without it no layer decrypts.
    from cryptography.fernet import InvalidToken

    UNREADABLE = (*UNREADABLE, InvalidToken)

FAILS = "the Channels layer fails; changes are read from the log meanwhile"
DROPPED = "a message in the Channels layer is dropped: %s. Changes that no other message brings are read from the log"


class Receiver:
    """A member of the log's group in the layer.

    group: the log's group, as Postgres last gave it.
    """

    def __init__(self, layer: BaseChannelLayer, pool: AsyncConnectionPool[Any], feed: Feed) -> None:
        self.group = ""
        self._layer = layer
        self._layer_channel = ""
        self._joined = ""  # which group
        self._pool = pool
        self._feed = feed
        self._logger = QuietLogger(logging.getLogger("ayb_realtime.hub"))

    async def start(self) -> None:
        """Ask Postgres for the log's group. Raises psycopg.Error or PoolTimeout."""
        async with self._pool.connection() as connection:
            self.group = await queries.group(connection)

    def tasks(self) -> Iterable[Coroutine[Any, Any, NoReturn]]:
        """Return what has to run as long as the hub does."""
        return self._receive(), self._rejoin(), self._follow_group()

    async def _receive(self) -> NoReturn:
        """Join the group and take its messages, until cancelled."""
        while True:
            try:
                await self._join()
                while True:
                    await self._take()
            except Exception:
                self._logger.warning(FAILS, exc_info=True, extra={"event_name": "layer_fails"})
                await asyncio.sleep(RETRY_SECONDS)

    async def _rejoin(self) -> NoReturn:
        """Join the group again now and then, until cancelled: the layer may have forgotten it."""
        while True:
            await asyncio.sleep(REJOIN_SECONDS)
            if self._joined:
                try:
                    await self._join()
                except Exception:
                    self._logger.warning(FAILS, exc_info=True, extra={"event_name": "layer_fails"})

    async def _follow_group(self) -> NoReturn:
        """Move to the log's new group whenever it has another one, until cancelled."""
        while True:
            await asyncio.sleep(GROUP_SECONDS)
            try:
                await self.start()
                if self._joined not in ("", self.group):
                    await self._leave()
                    await self._join()
                    # The messages of the new group were missed until now.
                    self._feed.distrust_head()
            except (psycopg.Error, PoolTimeout):
                continue  # The live deliveries log that the database does not answer.
            except Exception:
                self._logger.warning(FAILS, exc_info=True, extra={"event_name": "layer_fails"})

    async def close(self) -> None:
        """Leave the group."""
        if self._joined:
            try:
                await self._leave()
            except Exception:
                self._logger.warning(
                    "the Channels layer fails, and may go on sending messages that are not read",
                    exc_info=True,
                    extra={"event_name": "layer_not_left"},
                )

    async def _join(self) -> None:
        async with asyncio.timeout(ANSWER_SECONDS):
            self._layer_channel = self._layer_channel or await self._layer.new_channel()
            await self._layer.group_add(self.group, self._layer_channel)
        self._joined = self.group

    async def _leave(self) -> None:
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._layer.group_discard(self._joined, self._layer_channel)

    async def _take(self) -> None:
        """Wait for a message, and pass its announcement to the feed if a relay of this log has sealed it."""
        try:
            # One task waits on the channel, without a timeout: both Redis layers lose messages when a receive is
            # cancelled.
            message = await self._layer.receive(self._layer_channel)
            self._feed.accept(from_message(message, self.group))
        except UNREADABLE as error:
            # The message is not ours, or the layer could not read it. The next one may be good.
            self._logger.warning(DROPPED, str(error) or type(error).__name__, extra={"event_name": "message_dropped"})
            await asyncio.sleep(0)
