"""Which streams are sent a snapshot next. Called by ``snapshots``.

Identities take turns, and one snapshot of each is read at a time. So a client that asks for many, or that reads slowly,
holds up no other.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from ayb_realtime.hub.streams.snapshot_subscriber import SnapshotSubscriber
from ayb_realtime.identity import Identity


class SnapshotQueue:
    """The streams that wait for a snapshot."""

    def __init__(self) -> None:
        # In the order of their turns: whose rows → which rows, in which form → the streams that wait for them.
        self._waiting: dict[Identity, dict[Hashable, list[SnapshotSubscriber]]] = {}
        self._reading: set[Identity] = set()
        self._news = asyncio.Event()

    def add(self, subscriber: SnapshotSubscriber) -> None:
        """Let a stream wait, with those that wait for the same rows."""
        wanted = subscriber.tables, frozenset(subscriber.filters.items()), subscriber.form
        self._waiting.setdefault(subscriber.identity, {}).setdefault(wanted, []).append(subscriber)
        self._news.set()

    @asynccontextmanager
    async def next(self) -> AsyncIterator[list[SnapshotSubscriber]]:
        """Take the next streams that want the same; until the block ends, their identity has no other turn."""
        while (identity := next((each for each in self._waiting if each not in self._reading), None)) is None:
            self._news.clear()
            await self._news.wait()
        groups = self._waiting.pop(identity)
        group = groups.pop(next(iter(groups)))
        if groups:
            self._waiting[identity] = groups
        self._reading.add(identity)
        try:
            yield group
        finally:
            self._reading.discard(identity)
            self._news.set()
