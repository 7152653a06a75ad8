"""Subscribers on their way from the position that they resume after to the hub's.

Those that go the same stretch share its reading and its checking, so that thousands that come back at once do not each
read the log. Who reads slowly is left behind, and taken along by a later round.
"""

import asyncio
from typing import Any

from psycopg_pool import AsyncConnectionPool

from ayb_realtime import log, preparation
from ayb_realtime.audience import Audience
from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.feed import RUN_CHANGES, first_run
from ayb_realtime.subscriber import Subscriber


class Replay:
    """The subscribers that are behind the hub.

    news: set when there may be something to do: one came, has room again, or the hub moved.
    """

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self.news = asyncio.Event()
        self.subscribers: set[Subscriber] = set()
        self._pool = pool

    def add(self, subscriber: Subscriber) -> None:
        """Take a subscriber along from its position."""
        subscriber.on_drained = self.news.set
        self.subscribers.add(subscriber)
        self.news.set()

    def ready(self) -> list[Subscriber]:
        """Return those with an empty buffer; let go of those that have ended."""
        self.subscribers = {subscriber for subscriber in self.subscribers if not subscriber.ended}
        return [subscriber for subscriber in self.subscribers if subscriber.is_drained]

    async def advance(self, subscribers: list[Subscriber], upto: int) -> None:
        """Take those that are furthest behind one run further, at most to ``upto``, and whoever is on that stretch.

        subscribers: at least one, each before ``upto``.
        """
        after = min(subscriber.position for subscriber in subscribers)
        async with self._pool.connection() as connection:
            try:
                run = first_run(await log.read(connection, after=after, upto=min(upto, after + RUN_CHANGES)))
            except PositionUnavailable as error:
                # Pruned, or a log that began anew, since they came.
                for subscriber in subscribers:
                    if subscriber.position == after:
                        subscriber.begin(upto)
                        subscriber.reset(str(error), subscriber.relations)
                return
        last = run[-1].position
        along = Audience(subscriber for subscriber in subscribers if subscriber.position < last)
        prepared = await preparation.prepare(self._pool, run, along.identities)
        prepared.give(along, last)

    def take_arrived(self, position: int) -> set[Subscriber]:
        """Let those go that are at this position, and return them."""
        arrived = {subscriber for subscriber in self.subscribers if subscriber.position == position}
        self.subscribers -= arrived
        for subscriber in arrived:
            subscriber.on_drained = None
        return arrived
