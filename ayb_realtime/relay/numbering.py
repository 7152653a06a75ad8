"""Numbers what has committed, and hands it to the publisher. The relay runs it while it leads.

Asleep, it waits for a notification of a writer. Under load it stays awake and looks at the log itself, so that writers
need not notify: commits that notify wait for each other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from time import monotonic, time
from typing import Any, NoReturn

import psycopg

from ayb_realtime.counts import counts
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Announcement
from ayb_realtime.relay.publisher import Publisher
from ayb_realtime.tracing import tracing

Connection = psycopg.AsyncConnection[Any]

# How often the hubs are told the head when nothing is new. So often the log is looked at without a notification, too.
ANNOUNCE_SECONDS = 0.5
# While awake: the pause after a look, in times of what the look took, so that looking takes at most a fifth of a
# processor; the longest pause; and how often writers are told.
PAUSE_FACTOR = 4
PAUSE_SECONDS = 0.02
AWAKE_SECONDS = 1.0
# After so many looks in a row that find one change or none, a notification for each change costs less than looking.
QUIET_LOOKS = 4
# How long to keep looking for writers that may have been told not to notify.
FENCE_SECONDS = 2.0


class Numbering:
    """Numbers from ``run`` until it is cancelled.

    wake: set when a writer has sent a notification.
    has_numbered: whether the database has answered at all.
    """

    def __init__(self, publisher: Publisher, head: int) -> None:
        self.wake = asyncio.Event()
        self.has_numbered = False
        self._publisher = publisher
        self._head = head
        # Since when changes may have committed that are not numbered, in seconds since the epoch; None: not known.
        self._since: float | None = None

    async def run(self, writer: Connection) -> NoReturn:
        """Number and publish what has committed. Raises psycopg.Error: UniqueViolation if another relay numbers."""
        await self._fall_asleep(writer)
        while True:
            self.wake.clear()
            found = await self._publish_next(writer)
            # If another notification has come meanwhile, looking costs less than notifying.
            if found and self.wake.is_set() and await self._publish_next(writer):
                await self._stay_awake(writer)
            if not await self._woken(ANNOUNCE_SECONDS):
                self._publisher.publish(Announcement(self._head))

    async def _publish_next(self, writer: Connection) -> int:
        """Number what has committed since the last batch; return how many changes that are."""
        began = time()
        since, self._since = self._since, began
        announcement = await queries.next_batch(writer)
        self.has_numbered = True
        if announcement is None:
            return 0
        found, self._head = announcement.head - self._head, announcement.head
        numbers = {"changes": found, "announced": len(announcement.changes), "head": self._head}
        trace = tracing.record("ayb_realtime.number", began, **numbers)
        self._publisher.publish(replace(announcement, committed_at=since, trace=trace))
        counts.numbered += found
        return found

    async def _look(self, writer: Connection, pause: Callable[[float], Awaitable[object]]) -> int:
        """Do as ``_publish_next`` does, then pause in proportion to how long it took. pause: is given the seconds."""
        began = monotonic()
        found = await self._publish_next(writer)
        await pause(min(PAUSE_SECONDS, PAUSE_FACTOR * (monotonic() - began)))
        return found

    async def _stay_awake(self, writer: Connection) -> None:
        """Look at the log again and again while several changes come at a time; then fall asleep."""
        told_at, quiet_looks = -AWAKE_SECONDS, 0
        while quiet_looks < QUIET_LOOKS:
            if monotonic() - told_at > AWAKE_SECONDS:
                # Repeated: ``leadership.be_seen``, which renews ``asleep_at``, may just have overwritten the 0.
                told_at = monotonic()
                await queries.stay_awake(writer)
            quiet_looks = quiet_looks + 1 if await self._look(writer, asyncio.sleep) <= 1 else 0
        await self._fall_asleep(writer)

    async def _fall_asleep(self, writer: Connection) -> None:
        """Ask writers to notify, and keep looking at the log until those have ended that may not know it yet."""
        fence, asleep_at = await queries.fall_asleep(writer), monotonic()
        # For a transaction that lasts longer, the regular look at the log is enough.
        while monotonic() - asleep_at < FENCE_SECONDS and not await queries.is_past(writer, fence):
            self.wake.clear()
            await self._look(writer, self._woken)
        await self._publish_next(writer)

    async def _woken(self, seconds: float) -> bool:
        """Wait for a notification, at most so long; return whether one has come."""
        is_woken = self.wake.is_set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.wake.wait()
        if self.wake.is_set() and not is_woken:
            # A writer notifies when it commits.
            self._since = time()
        return self.wake.is_set()
