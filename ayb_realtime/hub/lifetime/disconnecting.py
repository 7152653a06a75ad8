"""Ends the streams of users whom ``disconnect`` names, and says which are open. ``refreshing`` calls it each second."""

import time
from collections.abc import Iterable, Set
from uuid import UUID

from ayb_realtime import disconnecting, open_streams
from ayb_realtime.disconnecting import Name
from ayb_realtime.hub.streams.endings import Ending, endings
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.open_streams import OpenStream
from ayb_realtime.wire.events import expired_event

# Of how many streams a process tells at most: those that are most behind, and of these the oldest.
TOLD_MAX = 200


class Disconnecting:
    """Ends streams, once for each row, so that those that are opened later go on.

    is_asked_to_tell: whether one of the last rows that were new has asked which streams are open.
    """

    def __init__(self) -> None:
        # Of each row that the table has: whom it names, and when it was first seen here.
        self._seen: dict[UUID, tuple[Name | None, float]] = {}
        self.is_asked_to_tell = False

    def end(self, rows: Iterable[tuple[UUID, str]], streams: Iterable[Subscriber]) -> None:
        """End the streams, and those of the users, that are new among these rows."""
        before, now = self._seen, time.monotonic()
        self._seen = {each: before.get(each) or (disconnecting.named(whom), now) for each, whom in rows}
        names = {name for each, (name, _) in self._seen.items() if name and each not in before}
        self.is_asked_to_tell = open_streams.ALL in names
        _end(streams, names)

    def end_if_late(self, stream: Subscriber, since: float) -> None:
        """End a stream whose user was disconnected while it was being opened, since a moment of ``time.monotonic``."""
        _end([stream], {name for name, seen_at in self._seen.values() if name and seen_at >= since})


def _end(streams: Iterable[Subscriber], names: Set[Name]) -> None:
    handles = {key for label, key in names if label == open_streams.STREAM}
    ending = [each for each in streams if not each.ended and _is_named(each, names, handles)] if names else []
    endings.add(Ending.DISCONNECTED, len(ending))
    for subscriber in ending:
        subscriber.end(expired_event())


def _is_named(subscriber: Subscriber, names: Set[Name], handles: Set[str]) -> bool:
    is_named = bool(handles) and open_streams.handle(subscriber.client_id) in handles
    return is_named or not names.isdisjoint(names_of(subscriber))


def names_of(subscriber: Subscriber) -> set[Name]:
    """Return the users on whom a stream depends."""
    return {name for proof in subscriber.proofs if (name := disconnecting.names(proof))}


def told(streams: Iterable[Subscriber]) -> str:
    """Return what a process tells of its streams."""
    is_open = [each for each in streams if not each.ended]
    first = sorted(is_open, key=lambda each: (each.position, each.opened_at))[:TOLD_MAX]
    return open_streams.told(len(is_open), [_described(each) for each in first])


def _described(subscriber: Subscriber) -> OpenStream:
    return OpenStream(
        open_streams.handle(subscriber.client_id),
        disconnecting.names(subscriber.proofs[0]) if subscriber.proofs else None,
        subscriber.identity.role,
        subscriber.identity.settings,
        [f"{table.schema}.{table.name}" for table in subscriber.tables],
        bool(subscriber.filters),
        subscriber.opened_at,
        subscriber.position,
        subscriber.is_caught_up,
    )
