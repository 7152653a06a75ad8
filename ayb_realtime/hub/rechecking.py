"""Ends streams whose credentials no longer hold: the user is gone or inactive, or has logged out. The hub runs it."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from asgiref.sync import sync_to_async

from ayb_realtime.conf import conf
from ayb_realtime.hub.endings import Ending, endings
from ayb_realtime.hub.subscriber import Subscriber
from ayb_realtime.postgres.threads import ConnectionThreads
from ayb_realtime.proofs import Proof, disproved
from ayb_realtime.wire.events import expired_event

_disproved = sync_to_async(disproved, thread_sensitive=False, executor=ConnectionThreads(1))


async def run(streams: Callable[[], Sequence[Subscriber]]) -> NoReturn:
    """Look at the open streams every RECHECK_SECONDS, until cancelled."""
    while True:
        await asyncio.sleep(conf.recheck_seconds)
        await recheck(streams())


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
