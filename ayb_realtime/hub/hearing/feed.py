"""The changes of the log in position order, each once, for the hub of this process.

The Channels layer is a hint, the log is the truth: the feed reads from the log every position that does not come
through the layer, and all of them while the layer is silent. The window decides, the feed does the I/O.

If the hub reads a standby, what the layer announces waits until the standby shows it: its rows are checked there.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Set
from typing import Any

from psycopg_pool import AsyncConnectionPool

from ayb_realtime.conf import conf
from ayb_realtime.counts import Latency, counts
from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.hub.hearing.window import Gap, Window
from ayb_realtime.hub.quiet_logger import QuietLogger
from ayb_realtime.hub.single_flight import SingleFlight
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Announcement
from ayb_realtime.log.slices import Slice
from ayb_realtime.reset_reasons import ResetReason

# The relay announces the head twice a second. After a second without a message the log is asked for it.
SILENCE_SECONDS = 1.0
# An attacker in Redis may repeat an old message. So the log is asked this often, whatever the layer says.
DISTRUST_SECONDS = 10.0
# The shortest pause between two looks at a standby that does not show yet what was announced.
LEAST_PAUSE_SECONDS = 0.001

SILENT = "no word of new changes comes from the relay: they are read from the log, up to %s s late"
LATE = "the standby that HUB_DATABASE names is late: for %.1f s it has not shown what was announced. The streams wait"


class Feed:
    """Hands out slices of the log without a gap, beginning at the head as it is at ``start``."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._window = Window()
        self._head_read_at = 0.0
        # A position that the standby did not show when it was announced, and since when.
        self._awaited, self._awaited_since = 0, 0.0
        self._news = asyncio.Event()
        self._logger = QuietLogger(logging.getLogger("ayb_realtime.hub"))
        self.latency = Latency()
        self.log_head = SingleFlight(self._read_head)

    async def start(self) -> int:
        """Begin at the head of the log, and return it. Raises NotMigrated, psycopg.Error or PoolTimeout."""
        self._skip_to(await self._read_head())
        return self._window.head

    @property
    def position(self) -> int:
        """Everything up to here has been handed out, or skipped."""
        return self._window.position

    @property
    def reached(self) -> int:
        """Everything up to here has been handed out, waits to be, or is being read."""
        return self._window.reached

    @property
    def head(self) -> int:
        """The newest position that the hub knows of."""
        return self._window.head

    def accept(self, announcement: Announcement) -> None:
        """Take an announcement that the relay has published."""
        self._window.offer(announcement)
        self.latency.hear(announcement.head, announcement.committed_at, announcement.trace)
        self._news.set()

    async def next(self, skippable: Callable[[], Set[int]]) -> Slice:
        """Wait for the next changes, and return a slice of them.

        skippable: returns the tables (oids) whose changes need not be read, since no stream has them.
        Raises psycopg.Error, PoolTimeout or NotMigrated; call again later. Raises PositionUnavailable if the log no
        longer holds the next change (pruned, or a new epoch); the feed then goes on at the head.
        """
        while True:
            if waiting := self._window.take():
                return waiting
            if gap := self._window.open_gap():
                if read := await self._fill_gap(gap, skippable()):
                    return read
            elif self._window.head > self._window.shown:
                await self._wait_for_standby()
            else:
                await self._wait_for_news()

    def distrust_head(self) -> None:
        """Ask the log for its head now: a message may have been missed."""
        self._head_read_at = float("-inf")
        self._news.set()

    def go_back(self, position: int) -> None:
        """Read again from the log what comes after a position."""
        self._window.go_back(position)

    async def _wait_for_news(self) -> None:
        """Wait for an announcement. Ask the log for its head if none comes in time, or if it was not asked for long."""
        self._news.clear()
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await self._news.wait()
        except TimeoutError:
            await self._refresh_head()
            if self._window.head > self._window.reached:
                self._logger.warning(SILENT, SILENCE_SECONDS, extra={"event_name": "relay_silent"})
        else:
            if self._head_is_stale():
                await self._refresh_head()

    async def _wait_for_standby(self) -> None:
        """Ask the standby how far it is; after the first time with pauses, which grow with how late it is."""
        now = time.monotonic()
        if self._window.shown >= self._awaited:
            self._awaited, self._awaited_since = self._window.head, now
        else:
            late_seconds = now - self._awaited_since
            if late_seconds > SILENCE_SECONDS:
                self._logger.warning(LATE, late_seconds, extra={"event_name": "standby_late"})
            await asyncio.sleep(min(max(late_seconds / 4, LEAST_PAUSE_SECONDS), SILENCE_SECONDS / 2))
        await self._refresh_head()

    def _head_is_stale(self) -> bool:
        return time.monotonic() - self._head_read_at > DISTRUST_SECONDS

    async def _refresh_head(self) -> None:
        """Ask the log for its head. Raises PositionUnavailable if it ends before what has been handed out."""
        # Taken now: while the log answers, later changes may come through the layer.
        reached = min(self._window.reached, self._window.shown)
        head = await self._read_head()
        self._head_read_at = time.monotonic()
        if head < reached:
            self._skip_to(head)
            raise PositionUnavailable(ResetReason.LOG_REWOUND)
        self._window.raise_head(head)
        self._show(head)

    async def _read_head(self) -> int:
        async with self._pool.connection() as connection:
            return await queries.head(connection)

    async def _fill_gap(self, gap: Gap, skippable: Set[int]) -> Slice | None:
        """Read a gap from the log. None: the log ends before it, whatever the layer said."""
        try:
            async with self._pool.connection() as connection:
                read = await self._read(connection, gap.after, skippable)
        except PositionUnavailable:
            raise
        except BaseException:
            self._window.go_back(gap.after)
            raise
        if read is None:
            self._skip_to(gap.after)
        else:
            self._window.fill(gap, read)
            counts.log_reads += 1
        return read

    async def _read(self, connection: queries.Connection, after: int, skippable: Set[int]) -> Slice | None:
        try:
            return await queries.read_slice(connection, after=after, upto=self._window.head, skippable=skippable)
        except PositionUnavailable:
            head = await queries.head(connection)
        if head == after:
            return None
        try:
            # The log may have reached the position only since.
            return await queries.read_slice(connection, after=after, upto=head, skippable=skippable)
        except PositionUnavailable:
            self._skip_to(head)
            raise

    def _skip_to(self, head: int) -> None:
        self._window.skip_to(head)
        self.latency.forget()
        self._show(head)

    def _show(self, head: int) -> None:
        """Note that the hub's database shows everything up to here."""
        if conf.hub_reads_standby():
            self._window.shown = head
