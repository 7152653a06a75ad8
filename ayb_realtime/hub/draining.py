"""How streams end, and silences: when the server stops, soon, but not all at once; when the client is gone, at last.

The hub calls it. Every stream that is open ends. Where a client does not read what is left of its own, only the server
can let go of the connection.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random, SystemRandom
from typing import NoReturn, TypeVar

from ayb_realtime.conf import conf
from ayb_realtime.hub.subscriber import Subscriber
from ayb_realtime.wire import sse

Stream = TypeVar("Stream")

# Up to so many streams end at once. More do in groups, the last of them after less than two seconds.
GROUP_STREAMS = 200
GROUPS_MAX = 20
PAUSE_SECONDS = 0.1
# How long after the others the streams end that were on their way in. With the groups it is less than the three seconds
# that Hypercorn gives its requests, which of the servers is the least.
LATECOMERS_SECONDS = 1.0
# A client that has read nothing for so long is gone: not every server says so while a send is blocked.
GONE_SECONDS = 120.0
LOOK_SECONDS = 1.0

_random = SystemRandom()


def groups(streams: Sequence[Stream], random: Random) -> Iterator[tuple[float, list[Stream]]]:
    """Yield seconds to wait, and then the streams to end together, until each was yielded once, in a random order."""
    shuffled = random.sample(streams, len(streams))
    size = max(GROUP_STREAMS, -(-len(shuffled) // GROUPS_MAX))
    for first in range(0, len(shuffled), size):
        yield (PAUSE_SECONDS if first else 0.0), shuffled[first : first + size]


def last_words(retry_milliseconds: int, random: Random) -> bytes:
    """Tell a client to come back after half to one and a half times the usual, so that not all do so together."""
    return sse.retry(round(retry_milliseconds * random.uniform(0.5, 1.5))) + b"\n"


async def end_all(subscribers: Sequence[Subscriber], random: Random = _random) -> None:
    """End these streams, group after group."""
    for seconds, group in groups(subscribers, random):
        await asyncio.sleep(seconds)
        for subscriber in group:
            subscriber.end(last_words(conf.retry_milliseconds, random))


async def end_with_latecomers(streams: Callable[[], Sequence[Subscriber]]) -> None:
    """End the streams, and then those of requests that had come before the server stopped listening."""
    await end_all(streams())
    await asyncio.sleep(LATECOMERS_SECONDS)
    await end_all(streams())


async def sweep(streams: Callable[[], Sequence[Subscriber]], leave: Callable[[Subscriber], object]) -> NoReturn:
    """Look at every stream, about once a second, for ever: is it silent, is its client gone without a word?"""
    while True:
        await asyncio.sleep(min(LOOK_SECONDS, conf.heartbeat_seconds / 4))
        look(streams(), leave)


def look(subscribers: Iterable[Subscriber], leave: Callable[[Subscriber], object]) -> None:
    """Let the silent ones have a heartbeat, and those that have read nothing for long go."""
    gone = time.monotonic() - max(GONE_SECONDS, 4 * conf.heartbeat_seconds)
    for subscriber in subscribers:
        if subscriber.read_at < gone:
            leave(subscriber)
        else:
            subscriber.look()
