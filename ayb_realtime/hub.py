"""The hub: one for each process and event loop. It gives every open stream what it may see, in position order.

A position is delivered to every subscriber before the next one is, and to each exactly once.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from channels.layers import BaseChannelLayer, get_channel_layer
from psycopg_pool import AsyncConnectionPool

from ayb_realtime import database, delivery, log, tables
from ayb_realtime.changes import Change
from ayb_realtime.conf import conf
from ayb_realtime.delivery import Delivery
from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.feed import RETRY_SECONDS, RUN_CHANGES, Feed, first_run
from ayb_realtime.identity import Identity
from ayb_realtime.subscriber import Subscriber
from ayb_realtime.tables import Table

logger = logging.getLogger(__name__)

# A client that has read nothing for so long is gone: not every server says so while a send is blocked.
GONE_SECONDS = 120.0


class Hub:
    """Keeps the subscribers, from ``start`` to ``close``.

    position: everything up to it has been delivered.
    """

    def __init__(self, layer: BaseChannelLayer | None, pool: AsyncConnectionPool[Any]) -> None:
        self.position = 0
        self.subscribers: set[Subscriber] = set()
        self._pool = pool
        self._layer = layer
        self._feed = Feed(pool)
        # Held while a run is delivered, and by whoever joins between two deliveries; notified when `position` moves.
        self._turn = asyncio.Condition()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Begin at the head of the log. Raises psycopg.Error or PoolTimeout where the database does not answer."""
        try:
            await self._pool.open()
            self.position = await self._feed.start()
        except BaseException:
            await self._pool.close()
            raise
        self._spawn(self._deliver_all())
        self._spawn(self._sweep())
        if self._layer is not None:
            self._spawn(self._feed.receive(self._layer))
            self._spawn(self._feed.rejoin(self._layer))

    async def close(self) -> None:
        """End every stream and stop."""
        for subscriber in list(self.subscribers):
            self.leave(subscriber)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pool.close()

    async def resolve(self, names: Sequence[str]) -> list[Table]:
        """Return the streamed tables with these names. Raises UnknownTable."""
        async with self._pool.connection() as connection:
            return tables.named(await tables.streamed(connection), names)

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
        Raises PositionUnavailable if the log has not got there yet.
        """
        subscriber = Subscriber(
            identity,
            frozenset(table.relation for table in streamed),
            buffer_bytes=conf.buffer_bytes,
            heartbeat_seconds=conf.heartbeat_seconds,
            expires_at=expires_at,
        )
        if after is None:
            async with self._turn:
                subscriber.position = self.position
                self.subscribers.add(subscriber)
            return subscriber
        if after > self.position and after > await self._feed.ask_head():
            raise PositionUnavailable(f"the log ends before position {after}")
        subscriber.position = after
        self._spawn(self._replay(subscriber))
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a subscriber whose client has gone. May be called again."""
        subscriber.end()
        self.subscribers.discard(subscriber)

    async def _replay(self, subscriber: Subscriber) -> None:
        """Bring a subscriber to the position of the hub, and let it in there.

        Who is far behind reads on without holding up the others. Only the last stretch is taken between two deliveries.
        """
        try:
            while self.position - subscriber.position > RUN_CHANGES and not subscriber.ended:
                await self._replay_run(subscriber)
                await subscriber.drained()
            async with self._turn:
                # It may have been further, in another process.
                await self._turn.wait_for(lambda: self.position >= subscriber.position)
                while self.position > subscriber.position and not subscriber.ended:
                    await self._replay_run(subscriber)
                if not subscriber.ended:
                    self.subscribers.add(subscriber)
        except Exception:
            logger.warning("a replay failed: the stream ends, and resumes where it was", exc_info=True)
            subscriber.end()

    async def _replay_run(self, subscriber: Subscriber) -> None:
        upto = min(self.position, subscriber.position + RUN_CHANGES)
        async with self._pool.connection() as connection:
            run = first_run(await log.read(connection, after=subscriber.position, upto=upto))
            prepared = await delivery.prepare(connection, run, _audience([subscriber]))
        self._give(prepared, [subscriber], run[-1].position)

    async def _deliver_all(self) -> NoReturn:
        """Deliver one run of changes after the other, for ever; one that fails again and again until it succeeds."""
        run: list[Change] = []
        while True:
            try:
                run = run or await self._feed.next()
                await self._deliver(run)
                run = []
            except Exception:
                logger.warning("changes cannot be delivered now; the streams wait", exc_info=True)
                await asyncio.sleep(RETRY_SECONDS)

    async def _deliver(self, changes: Sequence[Change]) -> None:
        async with self._turn:
            # Nobody joins while the turn is held.
            subscribers = list(self.subscribers)
            async with self._pool.connection() as connection:
                prepared = await delivery.prepare(connection, changes, _audience(subscribers))
            self._give(prepared, subscribers, changes[-1].position)
            self.position = changes[-1].position
            self._turn.notify_all()

    def _give(self, prepared: Delivery, subscribers: Iterable[Subscriber], position: int) -> None:
        """Put into each buffer what its subscriber sees; those that see the same share the bytes."""
        chunks: dict[tuple[Identity, frozenset[int]], bytes] = {}
        for subscriber in subscribers:
            if subscriber.identity in prepared.unanswered:
                self.leave(subscriber)
                continue
            audience = (subscriber.identity, subscriber.relations)
            if audience not in chunks:
                chunks[audience] = prepared.chunk(*audience)
            subscriber.push(chunks[audience])
            subscriber.position = position
            if subscriber.ended:
                self.leave(subscriber)

    async def _sweep(self) -> NoReturn:
        """Let go of clients that are gone without a word."""
        while True:
            seconds = max(GONE_SECONDS, 4 * conf.heartbeat_seconds)
            await asyncio.sleep(seconds / 4)
            for subscriber in list(self.subscribers):
                if time.monotonic() - subscriber.read_at > seconds:
                    self.leave(subscriber)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _audience(subscribers: Iterable[Subscriber]) -> dict[int, list[Identity]]:
    """Return the identities that subscribe to each table, each once."""
    identities: dict[int, dict[Identity, None]] = {}
    for subscriber in subscribers:
        for relation in subscriber.relations:
            identities.setdefault(relation, {})[subscriber.identity] = None
    return {relation: list(distinct) for relation, distinct in identities.items()}


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, "asyncio.Task[Hub]"] = WeakKeyDictionary()


async def get_hub() -> Hub:
    """Return the hub of this event loop; the first call makes it. Raises psycopg.Error or PoolTimeout."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = loop.create_task(_make_hub())
    try:
        return await asyncio.shield(_hubs[loop])
    except Exception:
        _hubs.pop(loop, None)
        raise


async def close_hub() -> None:
    """Close the hub of this event loop, if there is one: every stream ends."""
    if task := _hubs.pop(asyncio.get_running_loop(), None):
        await (await task).close()


async def _make_hub() -> Hub:
    hub = Hub(get_channel_layer(conf.channel_layer), database.pool())
    await hub.start()
    return hub
