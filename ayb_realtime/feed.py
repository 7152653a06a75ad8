"""The changes in position order, each once, for the hub of this process.

The Channels layer is a hint, the log is the truth: a position that does not come through the layer is read from the
log, and so is everything while the layer is silent.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from typing import Any, NoReturn

import psycopg
from channels.layers import BaseChannelLayer
from psycopg_pool import AsyncConnectionPool

from ayb_realtime import log
from ayb_realtime.changes import Batch, Change
from ayb_realtime.exceptions import PositionUnavailable

logger = logging.getLogger(__name__)

# The relay says where the head is twice a second. After a second without a word the log is asked.
SILENCE_SECONDS = 1.0
# How many changes are handed out at a time, of how many characters of records; one that is larger goes alone.
RUN_CHANGES = 500
RUN_CHARACTERS = 256 * 1024
# How many changes wait in memory: what is more is read from the log again.
WAITING_CHANGES = 5000
# A layer forgets its groups when Redis is restarted.
REJOIN_SECONDS = 30.0
# How often it is asked which group the log has: after a restart of Postgres it is another one.
GROUP_SECONDS = 1.0
RETRY_SECONDS = 1.0


class Feed:
    """Hands out runs of changes, from the head of the log at the start on, without a gap.

    head: the newest position that is known.
    """

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self.head = 0
        self._group = ""
        self._layer_channel: str | None = None
        self._pool = pool
        # Contiguous changes. Everything before the first of them has been handed out.
        self._waiting: deque[Change] = deque()
        self._next_position = 1
        self._in_doubt = False
        self._news = asyncio.Event()

    async def start(self) -> int:
        """Begin at the head of the log, and return it."""
        async with self._pool.connection() as connection:
            self.head = await log.head(connection)
            self._group = await log.group(connection)
        self._next_position = self.head + 1
        return self.head

    @property
    def position(self) -> int:
        """Everything up to here has been handed out, or skipped."""
        return self._next_position - 1 - len(self._waiting)

    async def next(self) -> list[Change]:
        """Wait for the next changes, and return a run of them. Raises psycopg.Error or PoolTimeout; then call again.

        Raises PositionUnavailable where the next change is not to be had, for the log was pruned or has begun anew. The
        feed then goes on at ``head``.
        """
        while not self._waiting:
            if self.head >= self._next_position:
                await self._repair()
                break
            self._news.clear()
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                self._in_doubt = True
            if self._in_doubt:
                await self._look()
        run = first_run(self._waiting)
        for _ in run:
            self._waiting.popleft()
        return run

    async def receive(self, layer: BaseChannelLayer) -> NoReturn:
        """Take what comes through the layer, for ever."""
        while True:
            try:
                # Only this task waits on the channel, and nothing cancels it to try again: both Redis layers lose
                # messages when a receive is cancelled.
                if self._layer_channel is not None:
                    # What nobody receives any more would fill up, and be warned of.
                    await layer.group_discard(self._group, self._layer_channel)
                self._layer_channel = await layer.new_channel()
                await layer.group_add(self._group, self._layer_channel)
                while True:
                    self._accept(Batch.from_message(await layer.receive(self._layer_channel)))
            except Exception:
                logger.warning("the Channels layer fails; changes are read from the log meanwhile", exc_info=True)
                await asyncio.sleep(RETRY_SECONDS)

    async def rejoin(self, layer: BaseChannelLayer) -> NoReturn:
        """Join the layer's group again and again."""
        while True:
            await asyncio.sleep(REJOIN_SECONDS)
            if self._layer_channel is not None:
                try:
                    await layer.group_add(self._group, self._layer_channel)
                except Exception:
                    logger.warning("the Channels layer fails; changes are read from the log meanwhile", exc_info=True)

    async def follow(self, layer: BaseChannelLayer) -> NoReturn:
        """Go over to the group that the log has by now, wherever that is another one, for ever."""
        while True:
            await asyncio.sleep(GROUP_SECONDS)
            try:
                async with self._pool.connection() as connection:
                    group = await log.group(connection)
                if group != self._group and self._layer_channel is not None:
                    await layer.group_discard(self._group, self._layer_channel)
                    await layer.group_add(group, self._layer_channel)
                    self._group = group
                    # Nothing was heard from there until now.
                    self._in_doubt = True
                    self._news.set()
            except psycopg.Error:
                continue  # Those who deliver say so.
            except Exception:
                logger.warning("the Channels layer fails; changes are read from the log meanwhile", exc_info=True)

    async def leave(self, layer: BaseChannelLayer) -> None:
        """Leave the layer's group."""
        if self._layer_channel is not None:
            try:
                await layer.group_discard(self._group, self._layer_channel)
            except Exception:
                logger.warning("the Channels layer fails, and may go on sending to nobody", exc_info=True)

    def _accept(self, batch: Batch) -> None:
        self.head = max(self.head, batch.head)
        # Late, or from a log that has begun anew.
        self._in_doubt = batch.head < self._next_position - 1
        for change in batch.changes:
            if change.position == self._next_position and len(self._waiting) < WAITING_CHANGES:
                self._waiting.append(change)
                self._next_position += 1
        self._news.set()

    async def _look(self) -> None:
        """Ask the log where it ends."""
        async with self._pool.connection() as connection:
            head = await log.head(connection)
        self._in_doubt = False
        if head < self._next_position - 1:
            self._jump(head)
            raise PositionUnavailable("the log has begun anew")
        self.head = max(self.head, head)

    async def _repair(self) -> None:
        """Read from the log what did not come through the layer."""
        after, upto = self._next_position - 1, min(self.head, self._next_position - 1 + RUN_CHANGES)
        # What comes meanwhile, after these, can wait its turn.
        self._next_position = upto + 1
        try:
            async with self._pool.connection() as connection:
                try:
                    missing = await log.read(connection, after=after, upto=upto)
                except PositionUnavailable:
                    self._jump(await log.head(connection))
                    raise
        except PositionUnavailable:
            raise
        except BaseException:
            self._waiting.clear()
            self._next_position = after + 1
            raise
        if missing[-1].position != upto:
            # They are large, and it is only a part; or the next epoch begins.
            self._waiting.clear()
            self._next_position = missing[-1].position + 1
        self._waiting.extendleft(reversed(missing))

    def _jump(self, head: int) -> None:
        self._waiting.clear()
        self.head = head
        self._next_position = head + 1


def first_run(changes: Iterable[Change]) -> list[Change]:
    """Return the changes to hand out together: at least one, if there is one."""
    run: list[Change] = []
    characters = 0
    for change in changes:
        characters += change.characters
        if run and (characters > RUN_CHARACTERS or len(run) == RUN_CHANGES):
            break
        run.append(change)
    return run
