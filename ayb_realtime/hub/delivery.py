"""What of a run of changes goes to whom, as bytes."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import chain

from ayb_realtime import visibility
from ayb_realtime.hub.subscriber import UNCHECKED, Subscriber
from ayb_realtime.hub.subscribers import Subscribers
from ayb_realtime.identity import Identity
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.postgres.tables import Table
from ayb_realtime.wire.events import change_event, reset_event
from ayb_realtime.wire.records import Row

Event = tuple[int, bytes]
# An identity; where row-level security is off, a role, for everybody who has it sees the same.
Viewer = Identity | str
# What subscribers get that see the same: by which lists of events these are, the resets, and the position before.
Chunks = dict[tuple[tuple[int, ...], tuple[Event, ...], int], bytes]


# To take a row apart that has more characters than this, to check it and to send it, would keep all others waiting.
LARGEST_CHARACTERS = 8 * 1024 * 1024


class Delivery:
    """The events of some changes, for every identity that subscribes to their tables.

    ended: identities whose streams have to end: nobody may have their role, or they are to be asked again later.
    unanswered: by table and viewer, the positions of which Postgres did not say whether they may be seen.
    """

    def __init__(self) -> None:
        self.ended: set[Identity] = set()
        self.unanswered: dict[tuple[int, Viewer], Set[int]] = {}
        # By table: what goes to everyone, and what goes to one viewer.
        self._common: dict[int, list[Event]] = {}
        self._own: dict[tuple[int, Viewer], Sequence[Event]] = {}
        # Tables whose viewers are identities.
        self._personal: set[int] = set()
        # By table: the identities whose role may read it at all.
        self._readers: dict[int, Collection[Identity]] = {}
        # Tables that were enabled: at which position, and the trigger that they have since.
        self._enabled: list[tuple[int, int, int]] = []

    def chunk(self, identity: Identity, relations: Iterable[int], after: int, resets: Iterable[Event] = ()) -> bytes:
        """Return the events after a position for a subscriber with this identity and these tables, as one chunk."""
        events = chain(resets, *self._events(identity, relations))
        return b"".join(event for position, event in sorted(events) if position > after)

    def give(self, audience: Subscribers, position: int) -> None:
        """Put into each buffer what its subscriber sees, up to a position; those that see the same share the bytes."""
        chunks: Chunks = {}
        # All are at the position then, but of thousands most get nothing: they are passed by.
        for subscriber in self._concerned(audience):
            self._give(subscriber, position, chunks)
        for subscriber in audience:
            subscriber.position = position

    def _concerned(self, audience: Subscribers) -> Iterable[Subscriber]:
        """Return those that may get something."""
        viewers = {viewer for _, viewer in (*self._own, *self.unanswered)}
        identities = {viewer for viewer in viewers if isinstance(viewer, Identity)}
        if self._enabled or any(self._common.values()) or identities != viewers:
            return list(audience)
        return audience.of(self.ended | identities)

    def _give(self, subscriber: Subscriber, position: int, chunks: Chunks) -> None:
        identity, relations = subscriber.identity, subscriber.relations
        if identity in self.ended:
            subscriber.end()
            return
        resets = tuple(self._resets(subscriber)) if self.unanswered else ()
        group = tuple(map(id, self._events(identity, relations))), resets, subscriber.position
        if group not in chunks:
            chunks[group] = self.chunk(identity, relations, subscriber.position, resets)
        subscriber.push(chunks[group])
        made_anew = {
            relation
            for at, relation, trigger in self._enabled
            if at > subscriber.position and trigger not in subscriber.triggers
        }
        subscriber.position = position
        if made_anew:
            subscriber.reset("table made anew", made_anew)

    def _events(self, identity: Identity, relations: Iterable[int]) -> list[Sequence[Event]]:
        """Return the lists that hold the events for this identity and these tables."""
        lists: list[Sequence[Event]] = []
        for relation in relations:
            common = self._common.get(relation)
            if common and identity in self._readers.get(relation, ()):
                lists.append(common)
            if own := self._own.get((relation, self._viewer(relation, identity))):
                lists.append(own)
        return lists

    def _viewer(self, relation: int, identity: Identity) -> Viewer:
        return identity if relation in self._personal else identity.role

    def _resets(self, subscriber: Subscriber) -> Iterator[Event]:
        """Yield an event for each table of which something that comes now could not be checked, in place of the first.

        Whoever fetches a table finds what was committed after that, too.
        """
        for table in subscriber.tables:
            missing = self.unanswered.get((table.relation, self._viewer(table.relation, subscriber.identity)), ())
            first = min((at for at in missing if at > subscriber.position), default=None)
            if first is not None and subscriber.may_reset(table.relation):
                yield first, reset_event(UNCHECKED, [table.name], first)

    def add_enabled(self, table: Table, changes: Iterable[Change]) -> None:
        """Take down that a table was enabled: whoever has not come since is told to fetch it again."""
        for change in changes:
            if change.trigger == table.trigger:  # Else it was enabled once more since, which is told in its turn.
                self._enabled.append((change.position, change.relation, change.trigger))

    def allow(self, table: Table, readers: Collection[Identity]) -> None:
        """Take down whose role may read a table at all."""
        self._readers[table.relation] = readers
        if table.row_security:
            self._personal.add(table.relation)

    def add_reset(self, table: Table, reason: str, position: int) -> None:
        """Tell everyone who may read a table to fetch it again."""
        self._common.setdefault(table.relation, []).append((position, reset_event(reason, [table.name], position)))

    def add_deletes(self, table: Table, deletes: Iterable[Change], rows: Mapping[int, Row]) -> None:
        """Tell everyone who may read a table of deletes."""
        self._common.setdefault(table.relation, []).extend(
            (change.position, change_event(change, table, rows[change.position])) for change in deletes
        )

    def add_unanswered(self, table: Table, unanswered: Mapping[Identity, Iterable[int]]) -> None:
        """Take down of which rows it is not known whether an identity may see them, by their positions."""
        for identity, positions in unanswered.items():
            key = table.relation, self._viewer(table.relation, identity)
            self.unanswered[key] = {*self.unanswered.get(key, ()), *positions}

    def add_rows(
        self,
        table: Table,
        changes: Mapping[int, Change],
        rows: Mapping[int, Row],
        seen: Mapping[Identity, visibility.Seen],
    ) -> None:
        """Encode each row once for all who may see it as it was logged, and once for each other state of it.

        One that is too large by now is not sent.
        """
        encoded: dict[tuple[int, str | None], Event] = {}

        def event(position: int, record: str | None) -> Event:
            if (position, record) not in encoded:
                row = rows[position] if record is None else Row(record)
                encoded[position, record] = position, change_event(changes[position], table, row)
            return encoded[position, record]

        # Those who have one answer in common have one list.
        lists: dict[int, list[Event]] = {}
        large: dict[int, set[int]] = {}
        for identity, records in seen.items():
            if records:
                if id(records) not in lists:
                    too_large = {at for at, record in records.items() if len(record or "") > LARGEST_CHARACTERS}
                    lists[id(records)] = [event(*each) for each in records.items() if each[0] not in too_large]
                    large[id(records)] = too_large
                self._own[table.relation, self._viewer(table.relation, identity)] = lists[id(records)]
                if large[id(records)]:
                    self.add_unanswered(table, {identity: large[id(records)]})

    def add_gone(
        self,
        table: Table,
        changes: Iterable[Change],
        rows: Mapping[int, Row],
        seen: visibility.Answers,
        saw: visibility.Answers,
    ) -> None:
        """Tell those who saw a row before its change, and do not see it now, that it is deleted."""
        deletes = {
            change.position: change_event(replace(change, action=Action.DELETE), table, rows[change.position])
            for change in changes
        }
        for identity, positions in saw.items():
            lost = seen.hidden(identity, positions.keys())
            if lost:
                seen_too = self._own.get((table.relation, identity), ())
                self._own[table.relation, identity] = [*seen_too, *((at, deletes[at]) for at in lost)]
