"""The changes in position order, each once, for the hub of this process.

The Channels layer is a hint, the log is the truth: a position that does not come through the layer is read from the
log, and so is everything while the layer is silent.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Set
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.hub.quiet_logger import QuietLogger
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Action, Batch, Change, Slice

# The relay says where the head is twice a second. After a second without a word the log is asked.
SILENCE_SECONDS = 1.0
# A word may be an old one that an attacker in Redis repeats: so often the log is asked whatever is heard.
DISTRUST_SECONDS = 10.0
# How many changes are handed out at a time, of how many characters of records; one that is larger goes alone.
SLICE_CHANGES = 500
SLICE_CHARACTERS = 256 * 1024
# How many changes wait in memory, of how many characters of records: what is more is read from the log again.
WAITING_CHANGES = 5000
WAITING_CHARACTERS = 4 * 1024 * 1024

SILENT = "no word of new changes comes through the Channels layer: they are read from the log, up to %s s late"


class Feed:
    """Hands out runs of changes, from the head of the log at the start on, without a gap.

    head: the newest position that is known.
    """

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self.head = 0
        self._pool = pool
        # Contiguous changes. Everything before the first of them has been handed out.
        self._waiting: deque[Change] = deque()
        self._waiting_characters = 0
        self._next_position = 1
        self._head_read_at = 0.0
        self._news = asyncio.Event()
        self._logger = QuietLogger(logging.getLogger(__package__))

    async def start(self) -> int:
        """Begin at the head of the log, and return it."""
        async with self._pool.connection() as connection:
            self.head = await queries.head(connection)
        self._next_position = self.head + 1
        return self.head

    @property
    def position(self) -> int:
        """Everything up to here has been handed out, or skipped."""
        return self._next_position - 1 - len(self._waiting)

    async def next(self, unread: Callable[[], Set[int]]) -> Slice:
        """Wait for the next changes, and return a run of them. Raises psycopg.Error or PoolTimeout; then call again.

        unread: says which tables' changes need not be read from the log.
        Raises PositionUnavailable where the next change is not to be had, for the log was pruned or has begun anew. The
        feed then goes on at ``head``.
        """
        while not self._waiting:
            if self.head >= self._next_position:
                if run := await self._repair(unread()):
                    return run
            elif not await self._hears():
                await self._refresh_head()
                if self.head >= self._next_position:
                    self._logger.warning(SILENT, SILENCE_SECONDS)
            elif time.monotonic() - self._head_read_at > DISTRUST_SECONDS:
                await self._refresh_head()
        changes = first_slice(self._waiting)
        for change in changes:
            self._waiting.popleft()
            self._waiting_characters -= change.characters
        return Slice(changes, changes[-1].position)

    def doubt(self) -> None:
        """Ask the log at the next word: something may have been missed."""
        self._head_read_at = float("-inf")
        self._news.set()

    def go_back(self, position: int) -> None:
        """Hand out again what comes after a position, read from the log."""
        self._waiting.clear()
        self._waiting_characters = 0
        self._next_position = position + 1

    def accept(self, batch: Batch) -> None:
        """Take what the relay has published."""
        if batch.head < self._next_position - 1:
            # Late, or from a log that has begun anew: that is found out once nothing else comes.
            return
        self.head = max(self.head, batch.head)
        for change in batch.changes:
            has_room = len(self._waiting) < WAITING_CHANGES and self._waiting_characters < WAITING_CHARACTERS
            if change.position == self._next_position and has_room:
                self._waiting.append(change)
                self._waiting_characters += change.characters
                self._next_position += 1
        self._news.set()

    async def _hears(self) -> bool:
        """Wait for a word; return whether there was one in time."""
        self._news.clear()
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                return await self._news.wait()
        except TimeoutError:
            return False

    async def _refresh_head(self) -> None:
        """Ask the log where it ends."""
        # What comes through the layer while it answers is further on.
        reached = self._next_position - 1
        async with self._pool.connection() as connection:
            head = await queries.head(connection)
        self._head_read_at = time.monotonic()
        if head < reached:
            self._skip_to(head)
            raise PositionUnavailable("the log has begun anew")
        self.head = max(self.head, head)

    async def _repair(self, unread: Set[int]) -> Slice | None:
        """Read from the log what did not come through the layer. None: it ends there, whatever was heard."""
        after, upto = self._next_position - 1, min(self.head, _slice_end(self._next_position - 1))
        # What comes meanwhile, after these, can wait its turn.
        self._next_position = upto + 1
        try:
            async with self._pool.connection() as connection:
                run = await self._read(connection, after, unread)
        except PositionUnavailable:
            raise
        except BaseException:
            self.go_back(after)
            raise
        if run is None:
            self._skip_to(after)
        elif run.upto != upto:
            # They are large, and it is only a part; or nothing is to be read for longer; or the next epoch begins.
            self.go_back(run.upto)
        return run

    async def _read(self, connection: AsyncConnection[Any], after: int, unread: Set[int]) -> Slice | None:
        try:
            return await read_slice(connection, after=after, upto=self.head, unread=unread)
        except PositionUnavailable:
            head = await queries.head(connection)
            if head == after:
                return None
            try:
                # It may have come to there only since.
                return await read_slice(connection, after=after, upto=head, unread=unread)
            except PositionUnavailable:
                self._skip_to(head)
                raise

    def _skip_to(self, head: int) -> None:
        self.go_back(head)
        self.head = head


def _slice_end(after: int) -> int:
    """Return where a run that begins after a position ends at the latest: all meet there, wherever they began."""
    return after - after % SLICE_CHANGES + SLICE_CHANGES


async def read_slice(connection: queries.Connection, *, after: int, upto: int, unread: Set[int]) -> Slice:
    """Return what the log holds after a position, up to ``upto`` or the run's end, or beyond it where nothing is read.

    Raises PositionUnavailable.
    """
    if unread and upto - after > SLICE_CHANGES:
        skipped = await queries.skip(connection, after=after, upto=upto, unread=unread)
        if skipped > after:
            return Slice((), skipped, unread)
    changes = await queries.read(connection, after=after, upto=min(upto, _slice_end(after)), unread=unread)
    # An altered table may have the name that a stream of another one follows.
    wanted = [change for change in changes if change.relation not in unread or change.action is Action.ALTER]
    return Slice(wanted, changes[-1].position, unread)


def first_slice(changes: Iterable[Change]) -> list[Change]:
    """Return the changes to hand out together: at least one, if there is one."""
    run: list[Change] = []
    characters = 0
    for change in changes:
        characters += change.characters
        if run and (characters > SLICE_CHARACTERS or len(run) == SLICE_CHANGES):
            break
        run.append(change)
    return run
