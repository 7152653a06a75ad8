"""Sends streams that ask for it the rows that are there now, and lets them go on from exactly there. The hub runs it.

A snapshot of the database sees everything up to a position of the log, and perhaps a few transactions more, which had
committed and were not numbered yet. Their positions are found when they are numbered, and are not told again.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import CatalogChanged, RoleRefused
from ayb_realtime.hub.hearing.receiver import RETRY_SECONDS
from ayb_realtime.hub.replaying.replay import Replay
from ayb_realtime.hub.snapshots import sharing
from ayb_realtime.hub.snapshots.giving_way import giving_way
from ayb_realtime.hub.snapshots.snapshot_queue import OPEN, SnapshotQueue, Turn
from ayb_realtime.hub.streams.snapshot_subscriber import SnapshotSubscriber
from ayb_realtime.log import snapshots
from ayb_realtime.log.queries import Connection
from ayb_realtime.postgres import database, tables
from ayb_realtime.postgres.tables import Table
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.visibility.selection import act, selection
from ayb_realtime.wire.events import ready_event

logger = logging.getLogger("ayb_realtime.hub")

# How long Postgres may take for a page: a snapshot's transaction holds locks.
STATEMENT_SECONDS = 10.0
# The pauses between two looks whether all that a snapshot sees is numbered: the first, and the longest.
LOOK_SECONDS = 0.02
LONGEST_LOOK_SECONDS = 1.0
# The longest pause before a snapshot is begun again because its catalogs have changed. The first time there is none.
LONGEST_REPEAT_SECONDS = 30.0


class Snapshots:
    """The subscribers that wait for a snapshot, or are being sent one. Those that want the same share it.

    on_joined: called when subscribers go on from their snapshot. A table of theirs may have been recreated meanwhile.
    """

    def __init__(self, pool: AsyncConnectionPool[Any], replay: Replay, on_joined: Callable[[], object]) -> None:
        self.subscribers: set[SnapshotSubscriber] = set()
        self._pool = pool
        self._replay = replay
        self._on_joined = on_joined
        self._waiting = SnapshotQueue()

    def add(self, subscriber: SnapshotSubscriber) -> None:
        """Send a subscriber a snapshot when it is its turn."""
        self.subscribers.add(subscriber)
        self._waiting.add(subscriber)

    async def run(self) -> NoReturn:
        """Send snapshots, a few at a time, until cancelled."""
        async with asyncio.TaskGroup() as readers:
            for _ in range(OPEN):
                readers.create_task(self._read())
        raise AssertionError("a reader ends by a failure alone")

    async def _read(self) -> NoReturn:
        while True:
            async with self._waiting.next() as (group, turn):
                if group := self._still_open(group):
                    await self._serve(group, turn)

    async def _serve(self, group: Sequence[SnapshotSubscriber], turn: Turn) -> None:
        """Send a snapshot to these, which want the same. If it fails, end them, or let them wait for another one."""
        try:
            read = await self._send(group, turn)
            turn.give_back()
            if group := self._still_open(group):
                await self._let_go(group, *read)
        except CatalogChanged:
            # Who owns a table may change its catalogs in a loop.
            repeats = max(subscriber.repeats for subscriber in group)
            self._begin_again(group, min(2.0**repeats - 1, LONGEST_REPEAT_SECONDS))
        except (TimeoutError, psycopg.errors.QueryCanceled, RoleRefused) as error:
            self._fail(group, error)
        except (psycopg.OperationalError, PoolTimeout, OSError) as error:
            logger.warning(
                "a snapshot cannot be read now, and is begun again: %s",
                error,
                extra={"event_name": "snapshot_begins_again"},
            )
            self._begin_again(group, RETRY_SECONDS)
        except Exception as error:  # noqa: BLE001 - what fails for these fails for no others
            self._fail(group, error)

    def _still_open(self, group: Sequence[SnapshotSubscriber]) -> list[SnapshotSubscriber]:
        self.subscribers = {subscriber for subscriber in self.subscribers if not subscriber.ended}
        return [subscriber for subscriber in group if not subscriber.ended]

    def _fail(self, group: Sequence[SnapshotSubscriber], error: Exception) -> None:
        """End streams whose rows cannot be selected. As for their SELECT, there is no answer."""
        names = ", ".join(table.name for table in group[0].tables)
        message = error.diag.message_primary if isinstance(error, psycopg.Error) else ""  # without its context
        reason = message or str(error) or type(error).__name__
        line, role = "streams end, because a snapshot of %s for %s failed: %s", group[0].identity.role
        logger.error(line, names, role, reason, extra={"event_name": "snapshot_fails"})
        for subscriber in group:
            subscriber.failure = f"the snapshot of {names} failed: {reason}"
            subscriber.end()

    def _begin_again(self, group: Sequence[SnapshotSubscriber], pause: float) -> None:
        """Have clients drop what they have of a snapshot, and wait for another one, after others had a turn."""
        for subscriber in group:
            subscriber.repeats += 1
            names = [table.name for table in subscriber.tables]
            subscriber.push(subscriber.reset_event(ResetReason.DEFINITION_CHANGED, names))
            asyncio.get_running_loop().call_later(pause, self._waiting.add, subscriber)

    async def _send(self, group: Sequence[SnapshotSubscriber], turn: Turn) -> tuple[int, str]:
        """Send the rows; return the newest position that they have everything of, and the database's snapshot."""
        identity = group[0].identity
        async with await database.connect(conf.hub_primary()) as connection:
            await database.read_one_snapshot(connection)
            followed = await _as_they_are(connection, group[0].tables)
            for subscriber in group:
                subscriber.set_tables(followed)
            filters = group[0].filters
            wanted = {each.relation: filters.get((each.schema, each.name), frozenset()) for each in followed}
            async with (
                selection(connection, wanted, identity) as selected,
                giving_way(self._pool, selected.backend_pid),
            ):
                position, seen = await snapshots.begin(connection)
                await act(selected, identity, STATEMENT_SECONDS)
                for table in followed:
                    async for page in selected.pages(table):
                        async with self._pool.connection() as another:
                            await selected.confirm(another)
                        await sharing.give(table, page, group, turn)
                        if not self._still_open(group):
                            return position, seen
                        await turn.take()
        return position, seen

    async def _let_go(self, group: Sequence[SnapshotSubscriber], position: int, seen: str) -> None:
        """Tell these that their snapshot is complete, and let them go on from its position."""
        positions = await self._seen_positions(position, seen)
        while positions and positions[0].start == position + 1:
            position = positions.pop(0).stop - 1
        async for few in sharing.few_at_a_time(group):
            for subscriber in few:
                self.subscribers.discard(subscriber)
                if not subscriber.ended:
                    subscriber.awaits_snapshot, subscriber.repeats = False, 0
                    subscriber.set_baseline(position, tuple(positions))
                    subscriber.push(ready_event(position))
                    self._replay.add(subscriber)
            self._on_joined()

    async def _seen_positions(self, after: int, seen: str) -> list[range]:
        """Return the positions after this one that a snapshot sees all the same, once the relay has numbered them."""
        pause = LOOK_SECONDS
        while True:
            async with self._pool.connection() as connection:
                positions = await snapshots.seen_positions(connection, after=after, seen=seen)
            if positions is not None:
                return positions
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOK_SECONDS)


async def _as_they_are(connection: Connection, followed: Sequence[Table]) -> list[Table]:
    """Return these tables as they are now: one that was dropped and recreated has a new oid."""
    now = {(table.schema, table.name): table for table in await tables.streamed(connection)}
    return [now.get((table.schema, table.name), table) for table in followed]
