"""Heartbeats for silent streams, and the end of streams whose clients have gone unnoticed. The hub runs it."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from ayb_realtime.conf import conf
from ayb_realtime.hub.streams.endings import Ending, endings
from ayb_realtime.hub.streams.subscriber import Subscriber

# A client that has read nothing for this long has gone: not every server says so while a send is blocked.
CLIENT_GONE_SECONDS = 120.0
TICK_SECONDS = 1.0


async def run(streams: Callable[[], Sequence[Subscriber]], leave: Callable[[Subscriber], object]) -> NoReturn:
    """Sweep over the open streams about once a second, until cancelled."""
    while True:
        await asyncio.sleep(min(TICK_SECONDS, conf.heartbeat_seconds / 4))
        sweep(streams(), leave)
        endings.log_due()


def sweep(subscribers: Sequence[Subscriber], leave: Callable[[Subscriber], object]) -> None:
    """Call ``leave`` for each subscriber whose client has gone, and ``tick`` for each that is due."""
    oldest_read = time.monotonic() - max(CLIENT_GONE_SECONDS, 4 * conf.heartbeat_seconds)
    for gone in [subscriber for subscriber in subscribers if subscriber.read_at < oldest_read]:
        endings.add(Ending.NOTHING_READ)
        leave(gone)
    for due in Subscriber.due(subscribers):
        due.tick()
