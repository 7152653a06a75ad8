"""Brings the streams that resume to the hub's position, and lets them into the live deliveries. The hub runs it.

Streams at the same slice share its reading and its checking, so that thousands that come back at once do not each read
the log. A stream whose client reads slowly is left behind, and taken along by a later round. While streams are being
opened, a round waits for a moment: so they are opened sooner, and those that come together share more of it.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, Protocol

from psycopg_pool import AsyncConnectionPool

from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.hub.delivering.slice_delivery import deliver
from ayb_realtime.hub.hearing.receiver import RETRY_SECONDS
from ayb_realtime.hub.quiet_logger import QuietLogger
from ayb_realtime.hub.replaying.kept_slices import KeptSlices
from ayb_realtime.hub.replaying.turns import Turns, at_slice, far_and_near
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.hub.streams.subscribers import Subscribers
from ayb_realtime.identity import Identity
from ayb_realtime.log import queries
from ayb_realtime.log.slices import Slice, slice_number

# How long a round waits at most for streams that are being opened. Then it goes on, however many come.
OPENING_SECONDS = 0.5


class Destination(Protocol):
    """Where the streams that resume go: the live deliveries."""

    pool: AsyncConnectionPool[Any]
    position: int
    subscribers: Subscribers
    known_relations: Set[int]
    delivery_lock: asyncio.Lock


class Replay:
    """The subscribers that are behind the hub's position."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self.subscribers: set[Subscriber] = set()
        self._pool = pool
        self._kept = KeptSlices()
        self._turns: Turns[Identity] = Turns()
        self._news = asyncio.Event()
        self._opening = 0
        self._all_opened = asyncio.Event()
        self._all_opened.set()
        self._logger = QuietLogger(logging.getLogger("ayb_realtime.hub"))

    def add(self, subscriber: Subscriber) -> None:
        """Take a subscriber along from its position."""
        subscriber.on_caught_up = self.notify
        self.subscribers.add(subscriber)
        self._turns.join(subscriber.identity)
        self.notify()

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Let rounds wait for a stream that is opened in the block."""
        self._opening += 1
        self._all_opened.clear()
        try:
            yield
        finally:
            self._opening -= 1
            if not self._opening:
                self._all_opened.set()

    def notify(self) -> None:
        """Begin a round: a subscriber has come, or has room again, or the hub has moved."""
        self._news.set()

    async def run(self, live: Destination) -> NoReturn:
        """Take rounds whenever there is something to do, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                while await self._round(live):
                    pass
            except Exception:
                self._logger.warning(
                    "changes cannot be replayed now; the streams wait",
                    exc_info=True,
                    extra={"event_name": "replay_fails"},
                )
                await asyncio.sleep(RETRY_SECONDS)
                self.notify()

    async def _round(self, live: Destination) -> bool:
        """Take streams that are far behind one slice further, and let in those that are near; return if there were any.

        Only the last slice of a stream is delivered while live deliveries wait.
        """
        await self._wait_for_openings()
        far, near = far_and_near(self._ready(), live.position)
        if far:
            await self._advance(self._pool, far, live)
        if near:
            async with live.delivery_lock:
                # One slice, however large its rows are; a stream that has not arrived then has another round.
                still_near = set(near)
                if behind := [s for s in self._ready() if s in still_near and s.position < live.position]:
                    await self._advance(live.pool, behind, live)
                live.subscribers |= self._take_arrived(live.position)
        return bool(far or near)

    async def _wait_for_openings(self) -> None:
        """Wait until no stream is being opened, for OPENING_SECONDS at most."""
        if self._opening:
            with suppress(TimeoutError):
                async with asyncio.timeout(OPENING_SECONDS):
                    await self._all_opened.wait()

    async def _advance(self, pool: AsyncConnectionPool[Any], subscribers: list[Subscriber], live: Destination) -> None:
        """Take those whose turn it is, and all at the same slice, to the end of it, or to the hub's position.

        subscribers: at least one, each before that position.
        """
        upto = live.position
        group = at_slice(subscribers, self._turns.next_slice(_slice_numbers(subscribers)))
        after = min(subscriber.position for subscriber in group)
        try:
            read = await self._read(pool, after, upto, _relations(group), live.known_relations)
        except PositionUnavailable as error:
            # The log was pruned, or has begun a new epoch, since they came.
            for subscriber in group:
                if subscriber.position == after:
                    subscriber.set_baseline(upto)
                    subscriber.reset(error.reason, subscriber.relations)
            return
        along = Subscribers(subscriber for subscriber in group if subscriber.position < read.upto)
        await deliver(pool, read, along)

    async def _read(
        self, pool: AsyncConnectionPool[Any], after: int, upto: int, relations: Set[int], known: Set[int]
    ) -> Slice:
        """Return the changes of these tables after a position. known: the streamed tables (oids).

        Raises PositionUnavailable.
        """
        if kept := self._kept.get(after, upto, relations):
            return kept
        skippable = known - _relations(self.subscribers) - relations
        async with pool.connection() as connection:
            read = await queries.read_slice(connection, after=after, upto=upto, skippable=skippable)
        self._kept.put(after, read)
        return read

    def _ready(self) -> list[Subscriber]:
        """Return the subscribers with an empty buffer; forget those that have ended."""
        self.subscribers = {subscriber for subscriber in self.subscribers if not subscriber.ended}
        if not self.subscribers:
            self._kept.clear()
        if len(self._turns) > len(self.subscribers):
            self._turns.keep({subscriber.identity for subscriber in self.subscribers})
        return [subscriber for subscriber in self.subscribers if subscriber.is_caught_up]

    def _take_arrived(self, position: int) -> set[Subscriber]:
        """Forget the subscribers that are at this position, and return them."""
        arrived = {subscriber for subscriber in self.subscribers if subscriber.position == position}
        self.subscribers -= arrived
        for subscriber in arrived:
            subscriber.on_caught_up = None
        return arrived


def _slice_numbers(subscribers: Iterable[Subscriber]) -> dict[Identity, set[int]]:
    """Return which slices the streams of each identity are at."""
    numbers: dict[Identity, set[int]] = {}
    for subscriber in subscribers:
        numbers.setdefault(subscriber.identity, set()).add(slice_number(subscriber.position))
    return numbers


def _relations(subscribers: Iterable[Subscriber]) -> Set[int]:
    """Return the tables (oids) of these subscribers."""
    return frozenset[int]().union(*{subscriber.relations for subscriber in subscribers})
