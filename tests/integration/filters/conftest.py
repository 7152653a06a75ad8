"""Streams with a filter, as a request opens them."""

from __future__ import annotations

from collections.abc import Sequence

from ayb_realtime.filters import parse
from ayb_realtime.hub.admission import Wanted
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.identity import Identity
from tests.integration.scenario import Stream, World


async def subscribed(
    world: World, identity: Identity, tables: str, *filters: str, resume: str = "", snapshot: bool = False
) -> Subscriber:
    """Open a stream of these tables, separated by commas, with these ``filter`` parameters."""
    names = tables.split(",")
    wanted = Wanted(filters=parse(filters, names))
    return await world.hub.subscribe(identity, names, wanted=wanted, resume=resume, snapshot=snapshot)


async def filtered(world: World, identity: Identity, tables: str, *filters: str, resume: str = "") -> Stream:
    """Open a stream, read its greeting, and return its client."""
    stream = Stream(await subscribed(world, identity, tables, *filters, resume=resume))
    assert (await stream.next()).event == "connected"
    return stream


async def told(stream: Stream, count: int) -> Sequence[tuple[str, object]]:
    """Wait for this many changes; return their actions and the ids of their rows."""
    changes = [await stream.next_action() for _ in range(count)]
    return [(action, record["id"]) for action, record in changes]
