"""Ends the streams of users whom ``disconnect`` names. ``refreshing`` calls it each second with what the table has."""

from collections.abc import Iterable
from uuid import UUID

from ayb_realtime import disconnecting
from ayb_realtime.hub.endings import Ending, endings
from ayb_realtime.hub.subscriber import Subscriber
from ayb_realtime.wire.events import expired_event


class Disconnecting:
    """Ends streams, once for each row, so that those that are opened later go on."""

    def __init__(self) -> None:
        self._seen: set[UUID] = set()

    def end(self, rows: Iterable[tuple[UUID, str]], streams: Iterable[Subscriber]) -> None:
        """End the streams of the users that are new among these rows."""
        table = dict(rows)
        users = {name for each, whom in table.items() if each not in self._seen and (name := disconnecting.named(whom))}
        self._seen = set(table)
        ending = [each for each in streams if not each.ended and users & names_of(each)] if users else []
        endings.add(Ending.DISCONNECTED, len(ending))
        for subscriber in ending:
            subscriber.end(expired_event())


def names_of(subscriber: Subscriber) -> set[disconnecting.Name]:
    """Return the users on whom a stream depends."""
    return {name for proof in subscriber.proofs if (name := disconnecting.names(proof))}
