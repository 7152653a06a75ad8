"""Gives the rows of a snapshot to all streams that share it. Called by ``snapshots``.

Hundreds may share it, and rows are encoded here. What must always hold: no step of that keeps the event loop for long.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

from ayb_realtime import precedence
from ayb_realtime.hub.streams.buffer import shareable
from ayb_realtime.hub.streams.endings import Ending, endings
from ayb_realtime.hub.streams.snapshot_subscriber import SnapshotSubscriber
from ayb_realtime.postgres.tables import Table
from ayb_realtime.wire.events import snapshot_event
from ayb_realtime.wire.records import Row

# How much of a page is encoded, and how many streams are given it, until the event loop looks what else has come.
PART_CHARACTERS = 32 * 1024
FEW = 8
# How long clients may take for a part: a snapshot's transaction holds locks.
PATIENCE_SECONDS = 10.0
SLOW = f"a part of it was not read within {PATIENCE_SECONDS:.0f} s. Take all of its rows first, and then work on them"

Group = Sequence[SnapshotSubscriber]


async def give(table: Table, page: Sequence[str], group: Group) -> None:
    """Send a page of a table's rows to these, which want the same form of them; end those that do not read it."""
    for rows in _parts(page):
        await _wait_for_readers(group)
        await precedence.turn()
        chunk = shareable(snapshot_event(table, map(Row, rows), group[0].form))
        async for few in few_at_a_time(group):
            for subscriber in few:
                subscriber.push(chunk)


async def few_at_a_time(group: Group) -> AsyncIterator[Group]:
    """Yield a few of these in each turn of the event loop."""
    for begin in range(0, len(group), FEW):
        yield group[begin : begin + FEW]
        await asyncio.sleep(0)


def _parts(page: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the rows of a page in parts: at least one, which may be empty."""
    begin = size = 0
    for end, row in enumerate(page):
        if size >= PART_CHARACTERS:
            yield page[begin:end]
            begin, size = end, 0
        size += len(row)
    yield page[begin:]


async def _wait_for_readers(group: Group) -> None:
    """Wait until these have taken what they were sent; end those that do not."""
    is_taken = asyncio.Event()
    for subscriber in group:
        subscriber.on_caught_up = is_taken.set
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            for subscriber in group:
                while _is_behind(subscriber):
                    await is_taken.wait()
                    is_taken.clear()
    except TimeoutError:
        slow = [subscriber for subscriber in group if _is_behind(subscriber)]
        endings.add(Ending.SLOW_SNAPSHOT, len(slow))
        for subscriber in slow:
            subscriber.failure = f"the snapshot has ended: {SLOW}"
            subscriber.end()


def _is_behind(subscriber: SnapshotSubscriber) -> bool:
    return not subscriber.is_caught_up and not subscriber.ended
