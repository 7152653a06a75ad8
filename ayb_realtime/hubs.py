"""One hub for each event loop, made on first use."""

import asyncio
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from ayb_realtime import database
from ayb_realtime.conf import conf
from ayb_realtime.hub import Hub

_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, "asyncio.Task[Hub]"] = WeakKeyDictionary()


async def get_hub() -> Hub:
    """Return the hub of this event loop; the first call makes it. Raises psycopg.Error or PoolTimeout."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = loop.create_task(_make_hub())
    making = _hubs[loop]
    try:
        return await asyncio.shield(making)
    except Exception:
        if _hubs.get(loop) is making:
            del _hubs[loop]
        raise


async def close_hub() -> None:
    """Close the hub of this event loop, if there is one: every stream ends."""
    if task := _hubs.pop(asyncio.get_running_loop(), None):
        await (await task).close()


async def _make_hub() -> Hub:
    hub = Hub(get_channel_layer(conf.channel_layer), database.pool())
    await hub.start()
    return hub
