"""One hub for each event loop, made on first use. The view asks for it."""

import asyncio
import logging
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import Context
from weakref import WeakKeyDictionary

from ayb_realtime.conf import conf
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.lifetime import server_stops
from ayb_realtime.hub.lifetime.signal_chain import SignalChain
from ayb_realtime.postgres import database
from ayb_realtime.relay.outlets import configured_layer
from ayb_realtime.tracing import tracing

logger = logging.getLogger(__package__)

BARE_DAPHNE = (
    "the daphne command has no backpressure: what a client does not read piles up in this process's memory."
    " Serve the site by `manage.py runrealtime --serve`, uvicorn, hypercorn or granian"
)

_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, "asyncio.Task[Hub]"] = WeakKeyDictionary()
_signal_chains: WeakKeyDictionary[Hub, SignalChain] = WeakKeyDictionary()


async def get_hub() -> Hub:
    """Return the hub of this event loop. The first call makes it; the first call after a failure makes another.

    Raises NotMigrated, psycopg.Error or PoolTimeout.
    """
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        # Not in the context of the first request, which may say to which tenant it belongs.
        _hubs[loop] = loop.create_task(_make_hub(), context=Context())
    making = _hubs[loop]
    try:
        hub = await asyncio.shield(making)
    except Exception:
        if _hubs.get(loop) is making:
            del _hubs[loop]
        raise
    if not hub.has_failed:
        return hub
    if _hubs.get(loop) is making:
        await close_hub()
    return await get_hub()


def opening() -> AbstractContextManager[None]:
    """Let replays wait for a stream that is opened in the block, if this event loop has a hub already."""
    hub = _made_hub()
    return nullcontext() if hub is None else hub.opening()


def _made_hub() -> Hub | None:
    """Return the hub of this event loop, if it has one already."""
    making = _hubs.get(asyncio.get_running_loop())
    return None if making is None or not _has_made(making) else making.result()


def _has_made(making: "asyncio.Task[Hub]") -> bool:
    return making.done() and not making.cancelled() and making.exception() is None


def hubs() -> list[Hub]:
    """Return the hubs of this process. May be called in any thread."""
    return [making.result() for making in list(_hubs.values()) if _has_made(making)]


async def close_hub() -> None:
    """Close the hub of this event loop, if it has one: every stream ends."""
    if task := _hubs.pop(asyncio.get_running_loop(), None):
        hub = await task
        _signal_chains.pop(hub).restore()
        await hub.close()


async def _make_hub() -> Hub:
    if "daphne.cli" in sys.modules:  # Only the command imports it.
        logger.warning(BARE_DAPHNE, extra={"event_name": "bare_daphne"})
    tracing.begin(conf.tracing)
    primary = database.pool(conf.database) if conf.hub_reads_standby() else None
    delivery = database.pool(size=database.DELIVERY_CONNECTIONS)
    hub = Hub(configured_layer(), database.pool(), delivery, primary)
    await hub.start()
    _signal_chains[hub] = _end_streams_on_signals(hub)
    server_stops.hear(_end_streams_here)
    return hub


def _end_streams_here() -> None:
    """End the streams of this event loop, whose server is about to wait for them."""
    if hub := _made_hub():
        hub.end_streams()


def _end_streams_on_signals(hub: Hub) -> SignalChain:
    """End the streams when the server is told to stop, before it begins to wait for them."""
    loop = asyncio.get_running_loop()

    def end_streams() -> None:
        with suppress(RuntimeError):  # The event loop may be gone already.
            loop.call_soon_threadsafe(hub.end_streams)

    chain = SignalChain(end_streams)
    chain.install()
    return chain
