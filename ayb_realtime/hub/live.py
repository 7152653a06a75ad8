"""Delivers the changes as they come: feed, plan, dispatch. The hub runs it.

Every position is delivered to every subscriber before the next one is, and to each exactly once.
"""

import asyncio
import logging
from collections.abc import Set
from typing import Any, NoReturn

from psycopg_pool import AsyncConnectionPool

from ayb_realtime import precedence
from ayb_realtime.counts import counts
from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.hub.delivering.slice_delivery import deliver
from ayb_realtime.hub.hearing.feed import Feed
from ayb_realtime.hub.hearing.receiver import RETRY_SECONDS
from ayb_realtime.hub.quiet_logger import QuietLogger
from ayb_realtime.hub.replaying.replay import Replay
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.hub.streams.subscribers import Subscribers, relink_recreated_tables
from ayb_realtime.log.changes import Action
from ayb_realtime.log.slices import Slice
from ayb_realtime.postgres import tables
from ayb_realtime.reset_reasons import ResetReason

logger = logging.getLogger(__package__)


class Live:
    """The subscribers that are at the hub's position.

    position: everything up to it has been delivered.
    known_relations: the streamed tables (oids) when they were last looked up, and those of the changes since.
    pool: of connections for what is delivered while the lock is held.
    delivery_lock: held while a slice is delivered, and while a subscriber joins between two deliveries.
    """

    def __init__(self, pool: AsyncConnectionPool[Any], feed: Feed, replay: Replay) -> None:
        self.position = 0
        self.subscribers = Subscribers()
        self.known_relations: Set[int] = frozenset()
        self.delivery_lock = asyncio.Lock()
        self.pool = pool
        self._feed = feed
        self._replay = replay
        self._logger = QuietLogger(logger)

    async def join(self, subscriber: Subscriber) -> None:
        """Let a subscriber in that begins now."""
        async with self.delivery_lock:
            subscriber.set_baseline(self.position)
            self.subscribers.add(subscriber)

    def look_up_tables_if_unknown(self, relations: Set[int]) -> None:
        """Look the streamed tables up again at the next change, unless all of these are known.

        A subscriber's table may have been recreated since it was resolved.
        """
        if not relations <= self.known_relations:
            self.look_up_tables()

    def look_up_tables(self) -> None:
        """Look the streamed tables up again at the next change."""
        self.known_relations = frozenset()

    async def run(self) -> NoReturn:
        """Deliver one slice after the other, until cancelled. After a failure, read the same changes again."""
        while True:
            try:
                slice_ = await self._feed.next(self._skippable)
                with precedence.delivering():
                    await self._deliver(slice_)
            except PositionUnavailable as error:
                await self._reset(error.reason)
            except Exception:
                self._logger.warning(
                    "changes cannot be delivered now; the streams wait",
                    exc_info=True,
                    extra={"event_name": "delivery_fails"},
                )
                # Also if the database answers: what came through the layer may be at fault.
                self._feed.go_back(self.position)
                await asyncio.sleep(RETRY_SECONDS)

    def _skippable(self) -> Set[int]:
        """Return the known tables without a stream: their changes need not be read."""
        return self.known_relations - self.subscribers.identities.keys()

    async def _deliver(self, slice_: Slice) -> None:
        async with self.delivery_lock:
            await self._relink_recreated_tables(slice_)
            if not slice_.skipped.isdisjoint(self.subscribers.identities):
                # Since the slice was read, a stream of such a table has joined, or has been linked to it.
                self._feed.go_back(self.position)
                return
            traces = self._feed.latency.traces(slice_.upto)
            followed = await deliver(self.pool, slice_, self.subscribers, timing=counts.check_seconds, traces=traces)
            self._advance_to(slice_.upto)
        counts.changes += followed
        self._feed.latency.deliver(slice_.upto, is_followed=followed > 0)

    async def _relink_recreated_tables(self, slice_: Slice) -> None:
        """Look the tables up before a change of an unknown one: a table that was recreated has a new oid."""
        changed = {change.relation for change in slice_.changes}
        # An altered table may have the name of another one now.
        is_altered = any(change.action is Action.ALTER for change in slice_.changes)
        if changed <= self.known_relations and not is_altered:
            return
        async with self.pool.connection() as connection:
            streamed = await tables.streamed(connection)
        self.known_relations = {table.relation for table in streamed} | changed
        relink_recreated_tables([*self.subscribers, *self._replay.subscribers], streamed)
        self.subscribers.tables_changed()

    async def _reset(self, reason: ResetReason) -> None:
        """Go on where the feed does, and reset every live stream: the log no longer holds what came before."""
        logger.warning("%s: every live stream is told to fetch again", reason, extra={"event_name": "streams_reset"})
        async with self.delivery_lock:
            # The feed's head may be further on by now.
            position = self._feed.position
            ahead = [subscriber for subscriber in self._replay.subscribers if subscriber.position > position]
            for subscriber in [*self.subscribers, *ahead]:
                subscriber.set_baseline(position)
                subscriber.reset(reason, subscriber.relations)
            self._advance_to(position)

    def _advance_to(self, position: int) -> None:
        self.position = position
        self.subscribers -= {subscriber for subscriber in self.subscribers if subscriber.ended}
        self._replay.notify()
