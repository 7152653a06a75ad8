"""Puts the events of a delivery plan into the buffers of those that see them. Pure."""

from collections.abc import Iterable, Iterator
from itertools import chain

from ayb_realtime.counts import counts
from ayb_realtime.hub.delivering.delivery import DeliveryPlan
from ayb_realtime.hub.streams.buffer import shareable
from ayb_realtime.hub.streams.snapshot_subscriber import SnapshotSubscriber
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.hub.streams.subscribers import Subscribers
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.wire.events import reset_event
from ayb_realtime.wire.form import Form

# A position, and the reset there.
Reset = tuple[int, bytes]
# Whole events, and how many they are.
Chunk = tuple[bytes, int]
# What subscribers have in common that get the same bytes: the numbers of their lists, their resets, their position, the
# positions after it that they know of, and their form.
ChunkKey = tuple[tuple[int, ...], tuple[Reset, ...], int, tuple[range, ...], Form]


def dispatch(plan: DeliveryPlan, subscribers: Subscribers, position: int) -> int:
    """Put into each buffer what its subscriber sees, up to a position; those that see the same share the bytes.

    Returns how many subscribers may have got something.
    """
    chunks: dict[ChunkKey, Chunk] = {}
    # Most plans have nothing but events. To look for the rest costs as much as to send them.
    dispatch_to = _send_events if plan.has_only_events else _dispatch_to
    # Of thousands, most get nothing: for them, only the position changes.
    concerned = _concerned(plan, subscribers)
    for subscriber in concerned:
        dispatch_to(plan, subscriber, position, chunks)
    for subscriber in subscribers:
        subscriber.position = position
    return len(concerned)


def is_news(position: int, after: int, told: Iterable[range]) -> bool:
    """Tell whether a client that knows of everything up to ``after``, and of ``told``, does not know of a position."""
    return position > after and not any(position in positions for positions in told)


def _concerned(plan: DeliveryPlan, subscribers: Subscribers) -> list[Subscriber]:
    """Return the subscribers that may get something."""
    if plan.enabled or plan.broadcast:
        return list(subscribers)
    concerned = (*plan.endings.values(), *plan.by_identity.values(), *plan.unanswered.values())
    return subscribers.of(set[Identity]().union(*concerned))


def _dispatch_to(plan: DeliveryPlan, subscriber: Subscriber, position: int, chunks: dict[ChunkKey, Chunk]) -> None:
    if any(
        not plan.endings[relation].isdisjoint((subscriber.identity, subscriber.reader(relation)))
        for relation in subscriber.relations & plan.endings.keys()
    ):
        subscriber.end()
        return
    if isinstance(subscriber, SnapshotSubscriber) and (reset := _reset_of(plan, subscriber)):
        subscriber.reset(*reset)  # The snapshot that follows has everything else.
        return
    if plan.resets:
        counts.resets.update(reason.name.lower() for reason, _ in _broadcast_resets(plan, subscriber))
    recreated = {
        change.relation
        for change in plan.enabled
        if change.position > subscriber.position and change.trigger not in subscriber.triggers
    }
    _send_events(plan, subscriber, position, chunks, tuple(_unanswered_resets(plan, subscriber)))
    if recreated:
        subscriber.reset(ResetReason.TABLE_RECREATED, recreated)


def _send_events(
    plan: DeliveryPlan,
    subscriber: Subscriber,
    position: int,
    chunks: dict[ChunkKey, Chunk],
    resets: tuple[Reset, ...] = (),
) -> None:
    key = _numbers(plan, subscriber), resets, subscriber.position, subscriber.told, subscriber.form
    chunk = chunks.get(key)
    if chunk is None:
        chunk = chunks[key] = _join(plan, key)
    subscriber.push(chunk[0])
    counts.events += chunk[1]
    subscriber.position = position
    if subscriber.told and isinstance(subscriber, SnapshotSubscriber) and subscriber.told[-1].stop <= position + 1:
        subscriber.told = ()


def _numbers(plan: DeliveryPlan, subscriber: Subscriber) -> tuple[int, ...]:
    """Return the numbers of the lists that go to a subscriber."""
    numbers: tuple[int, ...] = ()
    for relation in subscriber.relations:
        if relation in plan.broadcast and subscriber.identity in plan.readers.get(relation, ()):
            numbers += plan.broadcast[relation]
        if relation in plan.by_identity:
            numbers += plan.by_identity[relation].get(subscriber.reader(relation), ())
    return numbers


def _join(plan: DeliveryPlan, key: ChunkKey) -> Chunk:
    numbers, resets, after, told, form = key
    events = chain.from_iterable(plan.lists[number] for number in numbers)
    news = [(each.position, each.in_form(form)) for each in events if is_news(each.position, after, told)]
    found = sorted([*resets, *news])
    return shareable(b"".join(encoded for _, encoded in found)), len(found)


def _reset_of(plan: DeliveryPlan, subscriber: Subscriber) -> tuple[ResetReason, list[int]] | None:
    """Return why a subscriber has to fetch which tables again, if it has to."""
    for reason, relation in _broadcast_resets(plan, subscriber):
        return reason, [relation]
    unanswered = [table.relation for _, table in _unanswered_tables(plan, subscriber)] if plan.unanswered else []
    return (ResetReason.UNANSWERED, unanswered) if unanswered else None


def _broadcast_resets(plan: DeliveryPlan, subscriber: Subscriber) -> Iterator[tuple[ResetReason, int]]:
    for relation in subscriber.relations & plan.resets.keys():
        reason, position = plan.resets[relation]
        is_reader = subscriber.identity in plan.readers.get(relation, ())
        if is_reader and is_news(position, subscriber.position, subscriber.told):
            yield reason, relation


def _unanswered_resets(plan: DeliveryPlan, subscriber: Subscriber) -> Iterator[Reset]:
    for position, table in _unanswered_tables(plan, subscriber):
        counts.resets[ResetReason.UNANSWERED.name.lower()] += 1
        yield position, reset_event(ResetReason.UNANSWERED, [table.name], position)


def _unanswered_tables(plan: DeliveryPlan, subscriber: Subscriber) -> Iterator[tuple[int, Table]]:
    """Yield each table of which a row could not be checked, to be reset in place of the first such row.

    A client that fetches the table then finds what was committed after that row, too.
    """
    for table in subscriber.tables:
        unanswered = plan.unanswered.get(table.relation, {})
        # Of rows that are too large to ask about, only the identity is noted.
        own = {*unanswered.get(subscriber.identity, ()), *unanswered.get(subscriber.reader(table.relation), ())}
        news = (at for at in own if is_news(at, subscriber.position, subscriber.told))
        first = min(news, default=None)
        if first is not None and subscriber.may_reset(table.relation):
            yield first, table
