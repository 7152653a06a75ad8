"""Which events of a slice of changes go to which subscribers, as bytes. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import chain

from ayb_realtime.hub.subscriber import Subscriber
from ayb_realtime.hub.subscribers import Subscribers
from ayb_realtime.identity import Identity
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.postgres.tables import Table
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.visibility import Answers
from ayb_realtime.wire.events import change_event, reset_event
from ayb_realtime.wire.records import Row

# A position, and the event there.
Event = tuple[int, bytes]
# What subscribers have in common that get the same bytes: the numbers of their lists, their resets, their position, and
# the positions after it that they know of.
ChunkKey = tuple[tuple[int, ...], tuple[Event, ...], int, tuple[range, ...]]


# To check and send a row of more characters than this would keep all other streams waiting.
LARGEST_CHARACTERS = 8 * 1024 * 1024


def is_news(position: int, after: int, told: Iterable[range]) -> bool:
    """Tell whether a client that knows of everything up to ``after``, and of ``told``, does not know of a position."""
    return position > after and not any(position in positions for positions in told)


class DeliveryPlan:
    """The events of a slice, in lists that each go to many identities.

    endings: table → the identities whose streams that include the table are ended at dispatch.
    unanswered: table → identity → the positions of the rows about which Postgres did not answer.
    """

    def __init__(self) -> None:
        self.endings: dict[int, set[Identity]] = {}
        self.unanswered: dict[int, dict[Identity, Set[int]]] = {}
        # The lists of events, each encoded once. A list's number is its index.
        self._lists: list[Sequence[Event]] = []
        # Table → identity → the numbers of the lists that go to it.
        self._by_identity: dict[int, dict[Identity, tuple[int, ...]]] = {}
        # Table → the numbers of the lists that go to all its readers.
        self._broadcast: dict[int, tuple[int, ...]] = {}
        # Table → the identities whose role may SELECT from it.
        self._readers: dict[int, Collection[Identity]] = {}
        # Each says that a table is streamed from there on.
        self._enabled: list[Change] = []
        # Table → why all its readers have to fetch it again, and the position of that.
        self._resets: dict[int, tuple[ResetReason, int]] = {}

    def dispatch(self, subscribers: Subscribers, position: int) -> None:
        """Put into each buffer what its subscriber sees, up to a position; those that see the same share the bytes."""
        chunks: dict[ChunkKey, bytes] = {}
        # Of thousands, most get nothing: for them, only the position changes.
        for subscriber in self._concerned(subscribers):
            self._dispatch_to(subscriber, position, chunks)
        for subscriber in subscribers:
            subscriber.position = position

    def add_endings(self, table: Table, identities: Collection[Identity]) -> None:
        """End these identities' streams of a table at dispatch: their role is refused, or the table is locked."""
        if identities:
            self.endings.setdefault(table.relation, set()).update(identities)

    def _concerned(self, subscribers: Subscribers) -> Iterable[Subscriber]:
        """Return the subscribers that may get something."""
        if self._enabled or self._broadcast:
            return list(subscribers)
        concerned = (*self.endings.values(), *self._by_identity.values(), *self.unanswered.values())
        return subscribers.of(set[Identity]().union(*concerned))

    def _dispatch_to(self, subscriber: Subscriber, position: int, chunks: dict[ChunkKey, bytes]) -> None:
        if any(subscriber.identity in self.endings.get(relation, ()) for relation in subscriber.relations):
            subscriber.end()
            return
        if subscriber.on_reset is not None and (reset := self._reset_of(subscriber)):
            subscriber.reset(*reset)  # The snapshot that follows has everything else.
            return
        resets = tuple(self._unanswered_resets(subscriber)) if self.unanswered else ()
        numbers = self._numbers(subscriber.identity, subscriber.relations)
        key = numbers, resets, subscriber.position, subscriber.told
        if key not in chunks:
            chunks[key] = self._join(key)
        subscriber.push(chunks[key])
        recreated = {
            change.relation
            for change in self._enabled
            if change.position > subscriber.position and change.trigger not in subscriber.triggers
        }
        subscriber.position = position
        if subscriber.told and subscriber.told[-1].stop <= position + 1:
            subscriber.told = ()
        if recreated:
            subscriber.reset(ResetReason.TABLE_RECREATED, recreated)

    def _numbers(self, identity: Identity, relations: Iterable[int]) -> tuple[int, ...]:
        """Return the numbers of the lists that go to this identity, of these tables."""
        numbers: tuple[int, ...] = ()
        for relation in relations:
            if relation in self._broadcast and identity in self._readers.get(relation, ()):
                numbers += self._broadcast[relation]
            if relation in self._by_identity:
                numbers += self._by_identity[relation].get(identity, ())
        return numbers

    def _join(self, key: ChunkKey) -> bytes:
        numbers, resets, after, told = key
        events = sorted(chain(resets, *(self._lists[number] for number in numbers)))
        return b"".join(event for position, event in events if is_news(position, after, told))

    def _reset_of(self, subscriber: Subscriber) -> tuple[ResetReason, list[int]] | None:
        """Return why a subscriber has to fetch which table again, if it has to."""
        for relation in subscriber.relations & self._resets.keys():
            reason, position = self._resets[relation]
            is_reader = subscriber.identity in self._readers.get(relation, ())
            if is_reader and is_news(position, subscriber.position, subscriber.told):
                return reason, [relation]
        unanswered = [table.relation for _, table in self._unanswered_tables(subscriber)] if self.unanswered else []
        return (ResetReason.UNANSWERED, unanswered) if unanswered else None

    def _unanswered_resets(self, subscriber: Subscriber) -> Iterator[Event]:
        for position, table in self._unanswered_tables(subscriber):
            yield position, reset_event(ResetReason.UNANSWERED, [table.name], position)

    def _unanswered_tables(self, subscriber: Subscriber) -> Iterator[tuple[int, Table]]:
        """Yield each table of which a row could not be checked, to be reset in place of the first such row.

        A client that fetches the table then finds what was committed after that row, too.
        """
        for table in subscriber.tables:
            unanswered = self.unanswered.get(table.relation, {}).get(subscriber.identity, ())
            news = (at for at in unanswered if is_news(at, subscriber.position, subscriber.told))
            first = min(news, default=None)
            if first is not None and subscriber.may_reset(table.relation):
                yield first, table

    def add_enabled(self, table: Table, changes: Iterable[Change]) -> None:
        """Note enables. ``dispatch`` resets the table for streams whose ``triggers`` lack the current one."""
        # With another trigger, it was enabled once more since: a later change says so.
        self._enabled += [change for change in changes if change.trigger == table.trigger]

    def set_readers(self, table: Table, readers: Collection[Identity]) -> None:
        """Set the identities whose role may SELECT from a table."""
        self._readers[table.relation] = readers

    def add_reset(self, table: Table, reason: ResetReason, position: int) -> None:
        """Tell all readers of a table to fetch it again."""
        self._resets[table.relation] = reason, position
        self._add_broadcast(table, [(position, reset_event(reason, [table.name], position))])

    def add_deletes(self, table: Table, deletes: Iterable[Change], rows: Mapping[int, Row]) -> None:
        """Tell all readers of a table of deletes."""
        self._add_broadcast(
            table, [(each.position, change_event(each, table, rows[each.position])) for each in deletes]
        )

    def add_unanswered(self, table: Table, unanswered: Mapping[Identity, Iterable[int]]) -> None:
        """Add the positions of rows of which it is not known whether an identity may see them."""
        for identity, positions in unanswered.items():
            known = self.unanswered.setdefault(table.relation, {})
            known[identity] = {*known.get(identity, ()), *positions}

    def add_rows(self, table: Table, changes: Mapping[int, Change], rows: Mapping[int, Row], answers: Answers) -> None:
        """Tell each view's identities of its rows. A row that has become too large since it was logged is not sent.

        Each row is encoded once as it was logged, and once for each other state in which an identity may see it.
        """
        encoded: dict[tuple[int, str | None], Event] = {}

        def event(position: int, record: str | None) -> Event:
            if (position, record) not in encoded:
                row = rows[position] if record is None else Row(record)
                encoded[position, record] = position, change_event(changes[position], table, row)
            return encoded[position, record]

        for view in answers.views:
            too_large = {at for at, record in view.rows.items() if len(record or "") > LARGEST_CHARACTERS}
            self._add(table, view.identities, [event(*row) for row in view.rows.items() if row[0] not in too_large])
            if too_large:
                self.add_unanswered(table, dict.fromkeys(view.identities, too_large))

    def add_vanished(
        self, table: Table, changes: Iterable[Change], rows: Mapping[int, Row], now: Answers, before: Answers
    ) -> None:
        """Tell the identities that saw a row before its change, and do not see it now, that it is deleted.

        now, before: who sees the rows after their changes, and who saw them before.
        """
        deletes = {
            change.position: change_event(replace(change, action=Action.DELETE), table, rows[change.position])
            for change in changes
        }
        vanished: dict[frozenset[int], list[Identity]] = {}
        for view in before.views:
            for identity in view.identities:
                positions = frozenset(now.hidden_from(identity, view.rows.keys()))
                vanished.setdefault(positions, []).append(identity)
        for positions, identities in vanished.items():
            if positions:
                self._add(table, identities, [(position, deletes[position]) for position in positions])

    def _add(self, table: Table, identities: Iterable[Identity], events: Sequence[Event]) -> None:
        number = self._number(events)
        by_identity = self._by_identity.setdefault(table.relation, {})
        for identity in identities:
            by_identity[identity] = (*by_identity.get(identity, ()), number)

    def _add_broadcast(self, table: Table, events: Sequence[Event]) -> None:
        if events:
            self._broadcast[table.relation] = (*self._broadcast.get(table.relation, ()), self._number(events))

    def _number(self, events: Sequence[Event]) -> int:
        self._lists.append(events)
        return len(self._lists) - 1
