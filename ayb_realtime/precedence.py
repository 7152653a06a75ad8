"""Lets deliveries go first: other work of an event loop takes turns, and waits while changes are delivered. Pure.

Clients ask for streams and snapshots by the hundred, at once. Each step of that is short, but an event loop takes every
step that is ready before it looks what else has come. So what is done for many takes a turn for each, or for a few.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from weakref import WeakKeyDictionary

# How long a turn waits at most for the deliveries that are under way. To open a stream takes a processor as long.
PATIENCE_SECONDS = 0.005


class _Order:
    """Of one event loop.

    lock: held by what has the next turn.
    deliveries: how many are under way.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.deliveries = 0
        self.is_delivered = asyncio.Event()


_orders: WeakKeyDictionary[asyncio.AbstractEventLoop, _Order] = WeakKeyDictionary()


def _order() -> _Order:
    loop = asyncio.get_running_loop()
    if loop not in _orders:
        _orders[loop] = _Order()
    return _orders[loop]


@contextmanager
def delivering() -> Iterator[None]:
    """Let turns wait until the block ends."""
    order = _order()
    order.deliveries += 1
    order.is_delivered.clear()
    try:
        yield
    finally:
        order.deliveries -= 1
        if not order.deliveries:
            order.is_delivered.set()


async def turn() -> None:
    """Wait for a turn of the event loop that no other caller has, and a moment for what is being delivered."""
    order = _order()
    async with order.lock:
        if not order.deliveries:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await order.is_delivered.wait()
