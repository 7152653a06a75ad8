"""Warns if no relay leads while streams are open, and runs one in this process if the settings say so.

The hub calls it. Without a relay a stream gets heartbeats and nothing else, which looks like a site without changes.
"""

import asyncio
import logging
import time
from typing import Any

import psycopg
from channels.layers import BaseChannelLayer
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import NotificationsUnheard
from ayb_realtime.postgres import database
from ayb_realtime.relay import leadership
from ayb_realtime.relay.relay import Relay

logger = logging.getLogger(__package__)

# The shortest time between two looks, and how long a starting relay gets before each.
INTERVAL_SECONDS = 60.0
GRACE_SECONDS = 3.0

NO_RELAY = "no relay leads, so open streams receive no events. Start one: manage.py runrealtime"


class RelayWatch:
    """Checks, when streams are opened, whether a relay leads."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._looked_at = float("-inf")

    def is_due(self) -> bool:
        """Tell whether to look now. If so, the next look is due after INTERVAL_SECONDS."""
        now = time.monotonic()
        if now - self._looked_at < INTERVAL_SECONDS:
            return False
        self._looked_at = now
        return True

    async def look(self) -> None:
        """Warn if no relay leads."""
        await asyncio.sleep(GRACE_SECONDS)
        try:
            async with self._pool.connection() as connection:
                status = await leadership.status(connection)
        except (psycopg.Error, PoolTimeout):
            return  # The tasks that deliver say so.
        if not status.has_leader:
            logger.warning(NO_RELAY, extra={"event_name": "no_relay"})


async def run_relay(layer: BaseChannelLayer | None) -> None:
    """Relay in this process, as a standby like any other, until cancelled."""
    try:
        await Relay(layer, lambda: database.connect(conf.relay_database, is_patient=True)).run()
    except (psycopg.Error, OSError, NotificationsUnheard) as error:
        logger.error("the relay in this process ends: %s", error, extra={"event_name": "relay_in_process_ends"})
