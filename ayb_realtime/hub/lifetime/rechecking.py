"""Ends streams whose credentials no longer hold: the user is gone or inactive, or has logged out. The hub runs it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from asgiref.sync import sync_to_async

from ayb_realtime.access.proofs import Proof, disproved
from ayb_realtime.conf import conf
from ayb_realtime.hub.streams.endings import Ending, endings
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.postgres.threads import ConnectionThreads
from ayb_realtime.wire.events import expired_event

logger = logging.getLogger("ayb_realtime.hub")

# How long the answer may take.
ANSWER_SECONDS = 60.0

_disproved = sync_to_async(disproved, thread_sensitive=False, executor=ConnectionThreads(1))


async def run(streams: Callable[[], Sequence[Subscriber]]) -> None:
    """Look at the open streams every RECHECK_SECONDS, until cancelled."""
    while seconds := conf.recheck_seconds:
        await asyncio.sleep(seconds)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await recheck(streams())
        except TimeoutError:
            logger.error(
                "open streams go on unchecked: there was no answer for %.0f s",
                ANSWER_SECONDS,
                extra={"event_name": "recheck_unanswered"},
            )


async def recheck(subscribers: Iterable[Subscriber]) -> None:
    """End the streams of these whose credentials no longer hold. A client that comes back with them gets a 401."""
    streams: dict[Proof, list[Subscriber]] = {}
    for subscriber in subscribers:
        for proof in subscriber.proofs:
            streams.setdefault(proof, []).append(subscriber)
    for proof in await _disproved(streams) if streams else ():
        ending = [subscriber for subscriber in streams[proof] if not subscriber.ended]
        endings.add(Ending.DISPROVED, len(ending))
        for subscriber in ending:
            subscriber.end(expired_event())
