"""Numbers what has committed, and hands it to the publisher. The relay runs it while it leads.

Asleep, it waits for a notification of a writer. Under load it stays awake and looks at the log itself, so that writers
need not notify: commits that notify wait for each other.
"""

import asyncio
from typing import Any, NoReturn

import psycopg

from ayb_realtime.log import queries
from ayb_realtime.log.changes import Announcement
from ayb_realtime.relay.publisher import Publisher

Connection = psycopg.AsyncConnection[Any]

# How often the hubs are told the head when nothing is new. So often the log is looked at without a notification, too.
ANNOUNCE_SECONDS = 0.5
# While awake: the pause between two looks, the time without a change until asleep, and how often writers are told.
# Five looks for nothing cost more than one notification, so the relay sleeps between changes that are that rare.
POLL_SECONDS = 0.005
IDLE_SECONDS = 0.025
AWAKE_SECONDS = 1.0
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

    async def run(self, writer: Connection) -> NoReturn:
        """Number and publish what has committed. Raises psycopg.Error: UniqueViolation if another relay numbers."""
        await self._fall_asleep(writer)
        while True:
            self.wake.clear()
            is_news = await self._publish_next(writer)
            # If another notification has come meanwhile, looking costs less than notifying.
            if is_news and self.wake.is_set() and await self._publish_next(writer):
                await self._stay_awake(writer)
            try:
                async with asyncio.timeout(ANNOUNCE_SECONDS):
                    await self.wake.wait()
            except TimeoutError:
                self._publisher.publish(Announcement(self._head))

    async def _publish_next(self, writer: Connection) -> bool:
        """Number what has committed since the last batch; return whether anything had."""
        announcement = await queries.next_batch(writer)
        self.has_numbered = True
        if announcement is None:
            return False
        self._head = announcement.head
        self._publisher.publish(announcement)
        return True

    async def _stay_awake(self, writer: Connection) -> None:
        """Look at the log again and again until nothing new comes; then fall asleep."""
        clock = asyncio.get_running_loop().time
        told_at, busy_at = -AWAKE_SECONDS, clock()
        while clock() - busy_at < IDLE_SECONDS:
            if clock() - told_at > AWAKE_SECONDS:
                # Repeated: ``leadership.be_seen``, which renews ``asleep_at``, may just have overwritten the 0.
                told_at = clock()
                await queries.stay_awake(writer)
            if await self._publish_next(writer):
                busy_at = clock()
            else:
                await asyncio.sleep(POLL_SECONDS)
        await self._fall_asleep(writer)

    async def _fall_asleep(self, writer: Connection) -> None:
        """Ask writers to notify, and keep looking at the log until those have ended that may not know it yet."""
        clock = asyncio.get_running_loop().time
        fence, asleep_at = await queries.fall_asleep(writer), clock()
        # For a transaction that lasts longer, the regular look at the log is enough.
        while clock() - asleep_at < FENCE_SECONDS and not await queries.is_past(writer, fence):
            await self._publish_next(writer)
            await asyncio.sleep(POLL_SECONDS)
        await self._publish_next(writer)
