"""Gives the rows of a snapshot to all streams that share it. Called by ``snapshots``.

Hundreds may share it, and rows are encoded here. What must always hold: no step of that keeps the event loop for long.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress

from ayb_realtime import precedence
from ayb_realtime.hub.snapshots.snapshot_queue import LOOK_SECONDS, Turn
from ayb_realtime.hub.streams.buffer import shareable
from ayb_realtime.hub.streams.endings import Ending, endings
from ayb_realtime.hub.streams.snapshot_subscriber import SnapshotSubscriber
from ayb_realtime.postgres.tables import Table
from ayb_realtime.wire.events import snapshot_event

# How much of a page is encoded, and how many streams are given it, until the event loop looks what else has come.
PART_CHARACTERS = 32 * 1024
FEW = 8
# How long clients may take for a part: a snapshot's transaction holds locks. And for all of them, while others wait.
PATIENCE_SECONDS = 10.0
CROWDED_SECONDS = 3.0
SLOW = (
    f"it was not read for {PATIENCE_SECONDS:.0f} s, or for {CROWDED_SECONDS:.0f} s in all while others waited. "
    "Take all of its rows first, and then work on them"
)

Group = Sequence[SnapshotSubscriber]


async def give(table: Table, page: Sequence[str], group: Group, turn: Turn) -> None:
    """Send a page of a table's rows to these, which want the same form of them; end those that do not read it.

    turn: of their snapshot, which may have to be taken again.
    """
    for rows in _parts(page):
        await _wait_for_readers(group, turn)
        await precedence.turn()
        chunk = shareable(snapshot_event(table, rows, group[0].form))
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


async def _wait_for_readers(group: Group, turn: Turn) -> None:
    """Wait until these have taken what they were sent; end those that do not. Those who read slowly lose the turn."""
    is_taken = asyncio.Event()
    for subscriber in group:
        subscriber.on_caught_up = is_taken.set
    clock = asyncio.get_running_loop().time
    began = clock()
    while any(map(_is_behind, group)):
        if turn.waited_seconds:
            turn.give_back()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(turn.look_at):
                await _have_taken(group, is_taken)
                return
        turn.look_at = clock() + LOOK_SECONDS
        _look(group, turn, clock() - began)


async def _have_taken(group: Group, is_taken: asyncio.Event) -> None:
    for subscriber in group:
        while _is_behind(subscriber):
            await is_taken.wait()
            is_taken.clear()


def _look(group: Group, turn: Turn, part_seconds: float) -> None:
    """Count how long those are waited for that do not read, and end them after too long.

    part_seconds: how long all have been waited for.
    """
    behind = [subscriber for subscriber in group if _is_behind(subscriber)]
    slow = [subscriber for subscriber in behind if not subscriber.is_asked]
    if slow:
        turn.waited_seconds += LOOK_SECONDS
    others_wait = turn.holds_up_others() or len(behind) < sum(not subscriber.ended for subscriber in group)
    if part_seconds >= PATIENCE_SECONDS:
        slow = behind
    elif not others_wait or turn.waited_seconds < CROWDED_SECONDS:
        return
    endings.add(Ending.SLOW_SNAPSHOT, len(slow))
    for subscriber in slow:
        subscriber.failure = f"the snapshot has ended: {SLOW}"
        subscriber.end()


def _is_behind(subscriber: SnapshotSubscriber) -> bool:
    return not subscriber.is_caught_up and not subscriber.ended
