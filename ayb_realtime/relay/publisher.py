"""Sends what was numbered to the hubs through the Channels layer. The relay runs it as a task of its own.

The numbering never waits for it. A layer that fails costs the hubs time and nothing else: they read the log.
"""

import asyncio
import logging
from typing import NoReturn

from channels.layers import BaseChannelLayer

from ayb_realtime.log.changes import Announcement
from ayb_realtime.log.messages import to_message
from ayb_realtime.relay.outbox import Outbox

logger = logging.getLogger(__package__)

# How long the layer may take for a message, and the pause after a failure.
PUBLISH_SECONDS = 1.0
PAUSE_SECONDS = 0.5


class Publisher:
    """Sends one message after the other. After a failure, it sends the head alone until a message has arrived."""

    def __init__(self, layer: BaseChannelLayer) -> None:
        self._layer = layer
        self._group = ""
        self._outbox = Outbox()
        self._news = asyncio.Event()
        self._fails = False

    def set_group(self, group: str) -> None:
        """Send to this group from now on, and drop what waits for another."""
        self._group = group
        self._outbox = Outbox()

    def publish(self, announcement: Announcement) -> None:
        """Put an announcement into the outbox, and return at once."""
        self._outbox.put(announcement)
        if self._fails:
            self._outbox.leave_to_log()
        self._news.set()

    async def run(self) -> NoReturn:
        """Send what is published, in order, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while announcement := self._outbox.take():
                await self._send(announcement)

    async def _send(self, announcement: Announcement) -> None:
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await self._layer.group_send(self._group, to_message(announcement, self._group))
        except Exception as error:  # noqa: BLE001 - each layer raises errors of its own
            if not self._fails:
                reason = str(error) or type(error).__name__
                logger.warning("the Channels layer fails (%s); the hubs read the log meanwhile", reason)
            self._fails = True
            self._outbox.leave_to_log()
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            if self._fails:
                logger.info("the Channels layer is back")
            self._fails = False
