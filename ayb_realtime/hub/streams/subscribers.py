"""Open streams, and who subscribes to which table. Kept between slices, most of which concern few of the streams."""

from collections.abc import Iterable, Iterator, Mapping, MutableSet, Sequence

from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.visibility import FilteredIdentity, FilterIndex
from ayb_realtime.visibility.identities import IdentitiesByRole


class Subscribers(MutableSet[Subscriber]):
    """A set of subscribers that knows the identities subscribed to each table, and the subscribers of each identity."""

    def __init__(self, subscribers: Iterable[Subscriber] = ()) -> None:
        self._subscribers = set(subscribers)
        self._is_gathered = False
        self._identities: Mapping[int, IdentitiesByRole] = {}
        self._streams: Mapping[Identity, Sequence[Subscriber]] = {}

    def __contains__(self, subscriber: object) -> bool:
        return subscriber in self._subscribers

    def __iter__(self) -> Iterator[Subscriber]:
        return iter(self._subscribers)

    def __len__(self) -> int:
        return len(self._subscribers)

    def add(self, subscriber: Subscriber) -> None:
        """Let a subscriber in."""
        self._subscribers.add(subscriber)
        self._is_gathered = False

    def discard(self, subscriber: Subscriber) -> None:
        """Let a subscriber go. May be called again."""
        self._subscribers.discard(subscriber)
        self._is_gathered = False

    def tables_changed(self) -> None:
        """Note that some subscribers now follow other tables: what was gathered is out of date."""
        self._is_gathered = False

    @property
    def identities(self) -> Mapping[int, IdentitiesByRole]:
        """The identities that subscribe to each table, and their filters on it. A returned mapping never changes."""
        self._gather()
        return self._identities

    def of(self, identities: Iterable[Identity]) -> list[Subscriber]:
        """Return the subscribers that have one of these identities."""
        self._gather()
        return list(dict.fromkeys(each for identity in identities for each in self._streams.get(identity, ())))

    def _gather(self) -> None:
        if self._is_gathered:
            return
        identities: dict[int, dict[str, dict[Identity, None]]] = {}
        streams: dict[Identity, list[Subscriber]] = {}
        filtered: dict[int, dict[str, list[tuple[Identity, FilteredIdentity]]]] = {}
        for subscriber in self._subscribers:
            streams.setdefault(subscriber.identity, []).append(subscriber)
            for relation in subscriber.relations:
                identities.setdefault(relation, {}).setdefault(subscriber.identity.role, {})[subscriber.identity] = None
            for relation, each in subscriber.filtered.items():
                streams.setdefault(each, []).append(subscriber)
                filtered.setdefault(relation, {}).setdefault(each.role, []).append((subscriber.identity, each))
        self._identities = {
            relation: IdentitiesByRole(
                by_role, {role: FilterIndex(each) for role, each in filtered.get(relation, {}).items()}
            )
            for relation, by_role in identities.items()
        }
        self._streams = streams
        self._is_gathered = True


def relink_recreated_tables(subscribers: Iterable[Subscriber], streamed: Iterable[Table]) -> None:
    """Let subscribers follow a table that was dropped and recreated: they get its new oid, and a reset of it."""
    now = {(table.schema, table.name): table for table in streamed}
    for subscriber in subscribers:
        followed = [now.get((table.schema, table.name), table) for table in subscriber.tables]
        if subscriber.relations != {table.relation for table in followed}:
            gone = subscriber.relations
            subscriber.set_tables(followed)
            subscriber.set_baseline(subscriber.position)
            subscriber.reset(ResetReason.TABLE_RECREATED, subscriber.relations - gone)
