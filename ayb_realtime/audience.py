"""Open streams, and who subscribes to which table. The hub keeps one from run to run: most runs are for few of many."""

from collections.abc import Iterable, Iterator, Mapping, MutableSet, Sequence

from ayb_realtime.identity import Identity
from ayb_realtime.subscriber import Subscriber


class Audience(MutableSet[Subscriber]):
    """A set of subscribers that knows the identities of each table's."""

    def __init__(self, subscribers: Iterable[Subscriber] = ()) -> None:
        self._subscribers = set(subscribers)
        self._identities: Mapping[int, Sequence[Identity]] | None = None

    def __contains__(self, subscriber: object) -> bool:
        return subscriber in self._subscribers

    def __iter__(self) -> Iterator[Subscriber]:
        return iter(self._subscribers)

    def __len__(self) -> int:
        return len(self._subscribers)

    def add(self, subscriber: Subscriber) -> None:
        """Let a subscriber in."""
        self._subscribers.add(subscriber)
        self._identities = None

    def discard(self, subscriber: Subscriber) -> None:
        """Let a subscriber go. May be called again."""
        self._subscribers.discard(subscriber)
        self._identities = None

    def tables_changed(self) -> None:
        """Take down that some of the subscribers follow other tables now."""
        self._identities = None

    @property
    def identities(self) -> Mapping[int, Sequence[Identity]]:
        """The identities that subscribe to each table, each once. What was returned does not change any more."""
        if self._identities is None:
            found: dict[int, dict[Identity, None]] = {}
            for subscriber in self._subscribers:
                for relation in subscriber.relations:
                    found.setdefault(relation, {})[subscriber.identity] = None
            self._identities = {relation: list(distinct) for relation, distinct in found.items()}
        return self._identities
