"""Tells the hubs what was numbered: those of its process at once, others through an outlet, in a task of its own.

The numbering never waits for it. An outlet that fails costs the hubs time and nothing else: they read the log.
"""

import asyncio
import logging
from typing import NoReturn

from ayb_realtime.counts import counts
from ayb_realtime.log.changes import Announcement
from ayb_realtime.log.local_hubs import LocalHubs
from ayb_realtime.relay.outbox import Outbox
from ayb_realtime.relay.outlets import Outlet

logger = logging.getLogger(__package__)

# How long the outlet may take for a message, and the pause after a failure.
PUBLISH_SECONDS = 1.0
PAUSE_SECONDS = 0.5


class Publisher:
    """Sends one message after the other. After a failure, it sends the head alone until a message has arrived."""

    def __init__(self, outlet: Outlet, hubs: LocalHubs) -> None:
        self._outlet = outlet
        self._hubs = hubs
        self._group = ""
        self._outbox = Outbox()
        self._news = asyncio.Event()
        self._fails = False

    def set_group(self, group: str) -> None:
        """Send to this group from now on, and drop what waits for another."""
        self._group = group
        self._outbox = Outbox()

    def publish(self, announcement: Announcement) -> None:
        """Hand an announcement to the hubs of this process, put it into the outbox for others, and return at once."""
        self._hubs.tell(self._group, announcement)
        self._outbox.put(announcement)
        if self._fails or not self._outlet.carries_changes:
            self._outbox.leave_to_log()
        self._news.set()

    async def run(self) -> NoReturn:
        """Send what is published, in order, until cancelled."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while announcement := self._outbox.take():
                    await self._send(announcement)
        finally:
            await self._outlet.close()

    async def _send(self, announcement: Announcement) -> None:
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await self._outlet.send(announcement, self._group)
        except Exception as error:  # noqa: BLE001 - each outlet raises errors of its own
            counts.publish_failures += 1
            if not self._fails:
                reason = str(error) or type(error).__name__
                logger.warning(
                    "%s fails (%s); the hubs read the log meanwhile",
                    self._outlet.name,
                    reason,
                    extra={"event_name": "publishing_fails"},
                )
            self._fails = True
            self._outbox.leave_to_log()
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            if self._fails:
                logger.info("%s is back", self._outlet.name, extra={"event_name": "publishing_works"})
            self._fails = False
