"""Which streams are sent a snapshot next, and which snapshots are read just now. Called by ``snapshots``.

Identities take turns, and one snapshot of each is open at a time. If its clients are seen not to read, others are read
whenever it waits for them. So a client that asks for many, or that reads slowly, holds up no other.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from functools import partial

from ayb_realtime.hub.streams.snapshot_subscriber import SnapshotSubscriber
from ayb_realtime.identity import Identity

# How many snapshots are open at a time, each on a connection of its own, and how many of them are being read.
OPEN = 8
READ = 2
# How often to look whether the clients of a snapshot read.
LOOK_SECONDS = 0.1


class Turn:
    """A snapshot's turn to be read, which it has until ``give_back``, and again after ``take``.

    look_at: when to look next whether its clients read, by the event loop's clock.
    waited_seconds: how long it has waited in all for clients that do not.
    holds_up_others: tells whether other streams wait until it ends.
    """

    def __init__(self, turns: asyncio.Semaphore, holds_up_others: Callable[[], bool]) -> None:
        self.look_at = asyncio.get_running_loop().time() + LOOK_SECONDS
        self.waited_seconds = 0.0
        self.holds_up_others = holds_up_others
        self._turns = turns
        self._is_held = False

    async def take(self) -> None:
        """Wait for the turn. May be called again."""
        if not self._is_held:
            await self._turns.acquire()
            self._is_held = True

    def give_back(self) -> None:
        """Let another snapshot be read. May be called again."""
        if self._is_held:
            self._turns.release()
            self._is_held = False


class SnapshotQueue:
    """The streams that wait for a snapshot."""

    def __init__(self) -> None:
        # In the order of their turns: whose rows → which rows, in which form → the streams that wait for them.
        self._waiting: dict[Identity, dict[Hashable, list[SnapshotSubscriber]]] = {}
        self._open: set[Identity] = set()
        self._turns = asyncio.Semaphore(READ)
        # Held by who takes the next turn. So an open snapshot waits for one new one at most to have its turn again.
        self._door = asyncio.Lock()
        self._news = asyncio.Event()

    def add(self, subscriber: SnapshotSubscriber) -> None:
        """Let a stream wait, with those that wait for the same rows."""
        wanted = subscriber.tables, frozenset(subscriber.filters.items()), subscriber.form
        self._waiting.setdefault(subscriber.identity, {}).setdefault(wanted, []).append(subscriber)
        self._news.set()

    @asynccontextmanager
    async def next(self) -> AsyncIterator[tuple[list[SnapshotSubscriber], Turn]]:
        """Take the next streams that want the same, in their turn. Until the block ends their identity has no other."""
        async with self._door:
            while (identity := next((each for each in self._waiting if each not in self._open), None)) is None:
                self._news.clear()
                await self._news.wait()
            turn = Turn(self._turns, partial(self._is_waited_for, identity))
            await turn.take()
            group = self._take(identity)
        try:
            yield group, turn
        finally:
            turn.give_back()
            self._open.discard(identity)
            self._news.set()

    def _take(self, identity: Identity) -> list[SnapshotSubscriber]:
        groups = self._waiting.pop(identity)
        group = groups.pop(next(iter(groups)))
        if groups:
            self._waiting[identity] = groups
        self._open.add(identity)
        return group

    def _is_waited_for(self, identity: Identity) -> bool:
        return identity in self._waiting or (bool(self._waiting) and len(self._open) == OPEN)
