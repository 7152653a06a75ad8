"""Subscribers on their way from the position that they resume after to the hub's.

Those that go the same stretch share its reading and its checking, so that thousands that come back at once do not each
read the log. Who reads slowly is left behind, and taken along by a later round.

Identities take turns, and so do the stretches of each identity, upwards and then from the oldest on. So a client that
comes back again and again holds up no other, and neither do thousands of one identity.

While streams are being opened, a round waits for a moment: so they are opened sooner, and those that come together
share more of it.

A stretch ends at a multiple of SLICE_CHANGES, so that all meet there, wherever they began. What was read is kept for a
while, for those that come by later.
"""

import asyncio
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager, suppress
from typing import Any

from psycopg_pool import AsyncConnectionPool

from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.hub import planning
from ayb_realtime.hub.subscriber import Subscriber
from ayb_realtime.hub.subscribers import Subscribers
from ayb_realtime.identity import Identity
from ayb_realtime.log import queries, slices
from ayb_realtime.log.slices import Slice

# How many of the runs that were read are kept, each of at most SLICE_CHARACTERS, while anybody is on the way.
KEPT_SLICES = 64
# How long a round waits at the most for streams that are being opened: so often it goes on, however many come.
OPENING_SECONDS = 0.5


class Replay:
    """The subscribers that are behind the hub.

    news: set when there may be something to do: one came, has room again, or the hub moved.
    """

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self.news = asyncio.Event()
        self.subscribers: set[Subscriber] = set()
        self._pool = pool
        # The position before a run → the run. A position means one change, for ever.
        self._kept: dict[int, Slice] = {}
        # Identity → the stretch of its last turn. The identity whose turn was longest ago comes first.
        self._turns: dict[Identity, int] = {}
        self._opening = 0
        self._all_opened = asyncio.Event()
        self._all_opened.set()

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

    async def let_open(self) -> None:
        """Wait until no stream is being opened, for OPENING_SECONDS at the most."""
        if self._opening:
            with suppress(TimeoutError):
                async with asyncio.timeout(OPENING_SECONDS):
                    await self._all_opened.wait()

    def add(self, subscriber: Subscriber) -> None:
        """Take a subscriber along from its position."""
        subscriber.on_drained = self.news.set
        self.subscribers.add(subscriber)
        self._turns.setdefault(subscriber.identity, -1)
        self.news.set()

    def ready(self) -> list[Subscriber]:
        """Return those with an empty buffer; let go of those that have ended."""
        self.subscribers = {subscriber for subscriber in self.subscribers if not subscriber.ended}
        if not self.subscribers:
            self._kept.clear()
        if len(self._turns) > len(self.subscribers):
            identities = {subscriber.identity for subscriber in self.subscribers}
            self._turns = {identity: last for identity, last in self._turns.items() if identity in identities}
        return [subscriber for subscriber in self.subscribers if subscriber.is_drained]

    async def advance(self, subscribers: list[Subscriber], upto: int, known: Set[int]) -> None:
        """Take those whose turn it is one run further, at most to ``upto``, and with them all who are on that stretch.

        subscribers: at least one, each before ``upto``.
        known: the tables that there are.
        """
        stretch = self._next_stretch(subscribers)
        subscribers = [subscriber for subscriber in subscribers if _stretch(subscriber) == stretch]
        after = min(subscriber.position for subscriber in subscribers)
        try:
            run = await self._run(after, upto, _relations(subscribers), known)
        except PositionUnavailable as error:
            # Pruned, or a log that began anew, since they came.
            for subscriber in subscribers:
                if subscriber.position == after:
                    subscriber.set_baseline(upto)
                    subscriber.reset(str(error), subscriber.relations)
            return
        along = Subscribers(subscriber for subscriber in subscribers if subscriber.position < run.upto)
        delivery = await planning.plan_delivery(self._pool, run.changes, along.identities)
        delivery.dispatch(along, run.upto)

    def _next_stretch(self, subscribers: Iterable[Subscriber]) -> int:
        """Give the identity whose last turn was longest ago its turn, and all who would choose the same stretch theirs.

        Of the stretches that its streams are on, an identity chooses the next after that of its last turn.
        """
        stretches: dict[Identity, set[int]] = {}
        for subscriber in subscribers:
            stretches.setdefault(subscriber.identity, set()).add(_stretch(subscriber))
        chosen = {
            identity: min((n for n in own if n > self._turns[identity]), default=min(own))
            for identity, own in stretches.items()
        }
        stretch = next(chosen[identity] for identity in self._turns if identity in chosen)
        for identity, choice in chosen.items():
            if choice == stretch:
                del self._turns[identity]
                self._turns[identity] = stretch
        return stretch

    async def _run(self, after: int, upto: int, relations: Set[int], known: Set[int]) -> Slice:
        """Return the changes of these tables after a position. Raises PositionUnavailable."""
        run = self._kept.get(after)
        if run is None or run.upto > upto or not run.unread.isdisjoint(relations):
            async with self._pool.connection() as connection:
                unread = known - _relations(self.subscribers) - relations
                run = await queries.read_slice(connection, after=after, upto=upto, unread=unread)
            if run.characters <= slices.SLICE_CHARACTERS:
                self._kept[after] = run
            if len(self._kept) > KEPT_SLICES:
                del self._kept[next(iter(self._kept))]  # kept longest
        return run

    def take_arrived(self, position: int) -> set[Subscriber]:
        """Let those go that are at this position, and return them."""
        arrived = {subscriber for subscriber in self.subscribers if subscriber.position == position}
        self.subscribers -= arrived
        for subscriber in arrived:
            subscriber.on_drained = None
        return arrived


def _stretch(subscriber: Subscriber) -> int:
    """Return which stretch of the log a subscriber is on."""
    return slices.slice_number(subscriber.position)


def _relations(subscribers: Iterable[Subscriber]) -> Set[int]:
    """Return the tables that these subscribe to."""
    return frozenset[int]().union(*{subscriber.relations for subscriber in subscribers})
