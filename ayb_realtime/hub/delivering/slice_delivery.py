"""Delivers a slice of changes: asks who gets what, and puts it into the streams. Called by ``live`` and ``replay``."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from psycopg_pool import AsyncConnectionPool

from ayb_realtime.counts import Histogram, counts
from ayb_realtime.hub.delivering import planning
from ayb_realtime.hub.delivering.delivery import DeliveryPlan
from ayb_realtime.hub.delivering.dispatch import dispatch
from ayb_realtime.hub.streams.subscribers import Subscribers
from ayb_realtime.identity import Identity
from ayb_realtime.log.slices import Slice
from ayb_realtime.tracing import named, tracing


async def deliver(
    pool: AsyncConnectionPool[Any],
    slice_: Slice,
    subscribers: Subscribers,
    *,
    timing: Histogram | None = None,
    traces: Iterable[str] = (),
) -> int:
    """Deliver a slice to these; return how many of its changes are of tables that one of them follows.

    Raises what ``plan_delivery`` raises: then nothing has been delivered.
    timing: where to count how long it takes to ask.
    traces: of the batches that the slice is of.
    """
    identities = subscribers.identities
    followed = [change.relation for change in slice_.changes if change.relation in identities]
    if not followed:
        dispatch(DeliveryPlan(), subscribers, slice_.upto)
        return 0
    with tracing.span("ayb_realtime.deliver", traces) as span:
        with tracing.span("ayb_realtime.check") as check, timing.timing() if timing else nullcontext():
            if check is not None:
                check.set_attributes(_asked(followed, identities))
            plan = await planning.plan_delivery(pool, slice_.changes, identities)
            if check is not None:
                check.set_attributes(named(repeated=plan.repeated))
        before = counts.events
        streams = dispatch(plan, subscribers, slice_.upto)
        if span is not None:
            span.set_attributes(named(streams=streams, deliveries=counts.events - before, position=slice_.upto))
    return len(followed)


def _asked(followed: Sequence[int], identities: Mapping[int, Collection[Identity]]) -> dict[str, int]:
    tables = set(followed)
    asked = set[Identity]().union(*(identities[relation] for relation in tables))
    return named(tables=len(tables), changes=len(followed), identities=len(asked))
