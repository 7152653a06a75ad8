"""Ends every open stream before the server stops: soon, but not all at once. The hub calls it.

A client that does not read the rest of its stream keeps its connection until the server closes that.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from random import Random, SystemRandom
from typing import TypeVar

from ayb_realtime.conf import conf
from ayb_realtime.hub.streams.endings import Ending, endings
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.wire import sse

Stream = TypeVar("Stream")

# Up to this many streams end at once. More end in groups, the last of them after less than two seconds.
GROUP_STREAMS = 200
GROUPS_MAX = 20
PAUSE_SECONDS = 0.1
# How long after the others the streams end that were being opened. With the groups, this stays below the three seconds
# that Hypercorn gives its requests, the shortest time of all servers.
LATECOMERS_SECONDS = 1.0

_random = SystemRandom()


def groups(streams: Sequence[Stream], random: Random) -> Iterator[tuple[float, list[Stream]]]:
    """Split streams into groups of random order; yield the seconds to wait before each group, and the group."""
    shuffled = random.sample(streams, len(streams))
    size = max(GROUP_STREAMS, -(-len(shuffled) // GROUPS_MAX))
    for first in range(0, len(shuffled), size):
        yield (PAUSE_SECONDS if first else 0.0), shuffled[first : first + size]


def retry_hint(retry_milliseconds: int, random: Random) -> bytes:
    """Encode a reconnection time of 0.5 to 1.5 times the usual one, so that clients do not come back all at once."""
    return sse.retry(round(retry_milliseconds * random.uniform(0.5, 1.5))) + b"\n"


async def end_in_groups(subscribers: Sequence[Subscriber], random: Random = _random) -> None:
    """End these streams, group after group, each with a retry hint."""
    going = [subscriber for subscriber in subscribers if not subscriber.ended]
    endings.add(Ending.SERVER_STOPS, len(going))
    for seconds, group in groups(going, random):
        await asyncio.sleep(seconds)
        for subscriber in group:
            subscriber.end(retry_hint(conf.retry_milliseconds, random))


async def end_with_latecomers(streams: Callable[[], Sequence[Subscriber]]) -> None:
    """End the streams, and a second later those of requests that arrived before the server stopped listening."""
    await end_in_groups(streams())
    await asyncio.sleep(LATECOMERS_SECONDS)
    await end_in_groups(streams())
