"""The hub of a process. It gives every open stream what it may see, in position order.

A position is delivered to every subscriber before the next one is, and to each exactly once.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence, Set
from typing import Any, NoReturn

from channels.layers import BaseChannelLayer
from psycopg_pool import AsyncConnectionPool

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.hub import draining, liveness, planning
from ayb_realtime.hub.admission import Admission
from ayb_realtime.hub.feed import Feed
from ayb_realtime.hub.quiet_logger import QuietLogger
from ayb_realtime.hub.receiver import RETRY_SECONDS, Receiver
from ayb_realtime.hub.replay import Replay
from ayb_realtime.hub.subscriber import Subscriber
from ayb_realtime.hub.subscribers import Subscribers, relink_recreated_tables
from ayb_realtime.hub.tasks import Tasks
from ayb_realtime.identity import Identity
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.log.slices import Slice
from ayb_realtime.postgres import tables
from ayb_realtime.postgres.tables import Table

logger = logging.getLogger(__package__)


class Hub:
    """Keeps the subscribers, from ``start`` to ``close``.

    position: everything up to it has been delivered.
    """

    def __init__(self, layer: BaseChannelLayer | None, pool: AsyncConnectionPool[Any]) -> None:
        self.position = 0
        self.subscribers = Subscribers()
        self._pool = pool
        self._feed = Feed(pool)
        self._receiver = Receiver(layer, pool, self._feed) if layer is not None else None
        self._replay = Replay(pool)
        self.opening = self._replay.opening
        self.known_relations: Set[int] = frozenset()
        self._admission = Admission(pool)
        # Held while a run is delivered, and by whoever joins between two deliveries.
        self.delivery_lock = asyncio.Lock()
        self._tasks = Tasks(self._leave_all)
        self._logger = QuietLogger(logger)

    async def start(self) -> None:
        """Begin at the head of the log.

        Raises psycopg.Error or PoolTimeout where the database does not answer.
        """
        try:
            await self._pool.open()
            self.position = await self._feed.start()
            if self._receiver is not None:
                await self._receiver.start()
        except BaseException:
            await self._pool.close()
            raise
        self._tasks.spawn(self._deliver_all())
        self._tasks.spawn(self._replay.run(self))
        self._tasks.spawn(liveness.run(self._open, self.leave))
        if self._receiver is not None:
            self._tasks.spawn(self._receiver.receive())
            self._tasks.spawn(self._receiver.rejoin())
            self._tasks.spawn(self._receiver.follow())

    @property
    def has_failed(self) -> bool:
        """Whether a part of it has failed, so that it has ended its streams and is of no more use."""
        return self._tasks.has_failed

    async def close(self) -> None:
        """End every stream, as ``end_streams`` does, and stop."""
        await draining.end_all(self._open())
        await self._tasks.stop()
        self._leave_all()
        if self._receiver is not None:
            await self._receiver.close()
        await self._pool.close()

    def end_streams(self) -> asyncio.Task[None]:
        """Begin to end the streams that are open, for the server is about to stop; return the task that does it.

        If the server goes on all the same, so does the hub: streams that are opened later stay open.
        """
        return self._tasks.spawn(draining.end_with_latecomers(self._open))

    async def resolve(self, names: Sequence[str]) -> list[Table]:
        """Return the streamed tables with these names. Raises UnknownTable."""
        return await self._admission.named(names)

    async def subscribe(
        self,
        identity: Identity,
        streamed: Iterable[Table],
        *,
        after: int | None = None,
        expires_at: float | None = None,
    ) -> Subscriber:
        """Open a stream of these tables: whatever commits from now on will be in it, if Postgres shows it.

        after: the position to resume after; None: begin now.
        Raises RoleRefused for a role that nobody may have, PositionUnavailable if the log does not reach there, or not
        back to there.
        """
        await self._admission.check_role(identity.role)
        subscriber = Subscriber(
            identity,
            streamed,
            buffer_bytes=conf.buffer_bytes,
            heartbeat_seconds=conf.heartbeat_seconds,
            expires_at=expires_at,
        )
        if after is None:
            async with self.delivery_lock:
                subscriber.set_baseline(self.position)
                self.subscribers.add(subscriber)
        else:
            await self._admission.check_resumable(after)
            subscriber.position = after
            self._replay.add(subscriber)
        if not subscriber.relations <= self.known_relations:
            # Perhaps made anew since it was looked up: the next run looks again.
            self.known_relations = frozenset()
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a subscriber whose client has gone. May be called again."""
        subscriber.abandon()
        self.subscribers.discard(subscriber)
        self._replay.subscribers.discard(subscriber)

    def _leave_all(self) -> None:
        for subscriber in self._open():
            subscriber.end()
        self.subscribers.clear()
        self._replay.subscribers.clear()

    def _open(self) -> list[Subscriber]:
        return [*self.subscribers, *self._replay.subscribers]

    async def _deliver_all(self) -> NoReturn:
        """Deliver one run of changes after the other, for ever; what fails is read from the log until it succeeds."""
        while True:
            try:
                await self._deliver(await self._feed.next(self._unread))
            except PositionUnavailable as error:
                await self._reset(str(error))
            except Exception:
                self._logger.warning("changes cannot be delivered now; the streams wait", exc_info=True)
                # Also where the database answers, and what came through the layer is at fault.
                self._feed.go_back(self.position)
                await asyncio.sleep(RETRY_SECONDS)

    def _unread(self) -> Set[int]:
        """Return the tables of which nothing need be read: they are known, and no stream is of them."""
        return self.known_relations - self.subscribers.identities.keys()

    async def _deliver(self, run: Slice) -> None:
        async with self.delivery_lock:
            is_known = self.known_relations >= {change.relation for change in run.changes}
            # An altered table may have the name of another one now.
            if not is_known or any(change.action is Action.ALTER for change in run.changes):
                async with self._pool.connection() as connection:
                    self._relink_recreated_tables(await tables.streamed(connection), run.changes)
            if not run.unread.isdisjoint(self.subscribers.identities):
                # A stream of such a table has joined, or has come to follow it, since it was read.
                self._feed.go_back(self.position)
                return
            delivery = await planning.plan_delivery(self._pool, run.changes, self.subscribers.identities)
            # Nobody has joined meanwhile: the turn is held.
            delivery.dispatch(self.subscribers, run.upto)
            self._advance_to(run.upto)

    def _relink_recreated_tables(self, streamed: Sequence[Table], run: Sequence[Change]) -> None:
        """Look whether a table that somebody subscribes to was dropped and made again: it has a new oid then."""
        self.known_relations = {table.relation for table in streamed} | {change.relation for change in run}
        relink_recreated_tables(self._open(), streamed)
        self.subscribers.tables_changed()

    async def _reset(self, reason: str) -> None:
        """Go on where the feed does; what was in between is not to be had."""
        logger.warning("%s: every stream is told to fetch again", reason)
        async with self.delivery_lock:
            # Its head may be further on by now.
            position = self._feed.position
            ahead = {subscriber for subscriber in self._replay.subscribers if subscriber.position > position}
            for subscriber in [*self.subscribers, *ahead]:
                subscriber.set_baseline(position)
                subscriber.reset(reason, subscriber.relations)
            self._advance_to(position)

    def _advance_to(self, position: int) -> None:
        self.position = position
        self.subscribers -= {subscriber for subscriber in self.subscribers if subscriber.ended}
        self._replay.notify()
