"""Which events of a slice of changes go to which identities, as bytes. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial

from ayb_realtime.identity import Identity
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.log.slices import LARGEST_CHARACTERS
from ayb_realtime.postgres.tables import Table
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.visibility import Answers
from ayb_realtime.wire.events import change_event, reset_event
from ayb_realtime.wire.form import WHOLE, Form
from ayb_realtime.wire.records import Row


class Event:
    """An event at a position, encoded once for each form in which a stream gets it.

    encode: returns it in a form.
    """

    __slots__ = ("_encode", "_encoded", "position")

    def __init__(self, position: int, encode: Callable[[Form], bytes]) -> None:
        self.position = position
        self._encode = encode
        # At once: if it cannot be encoded, no stream may have any of the slice yet.
        self._encoded = {WHOLE: encode(WHOLE)}

    def in_form(self, form: Form) -> bytes:
        """Return its bytes."""
        if form not in self._encoded:
            self._encoded[form] = self._encode(form)
        return self._encoded[form]


class DeliveryPlan:
    """The events of a slice, in lists that each go to many identities.

    repeated: how often the questions were asked again, since the catalogs had changed.
    endings: table → the identities whose streams that include the table are ended at dispatch.
    unanswered: table → identity → the positions of the rows about which Postgres did not answer.
    """

    def __init__(self) -> None:
        self.repeated = 0
        self.endings: dict[int, set[Identity]] = {}
        self.unanswered: dict[int, dict[Identity, Set[int]]] = {}
        # The lists of events, each encoded once. A list's number is its index.
        self.lists: list[Sequence[Event]] = []
        # Table → identity → the numbers of the lists that go to it.
        self.by_identity: dict[int, dict[Identity, tuple[int, ...]]] = {}
        # Table → the numbers of the lists that go to all its readers.
        self.broadcast: dict[int, tuple[int, ...]] = {}
        # Table → the identities whose role may SELECT from it.
        self.readers: dict[int, Collection[Identity]] = {}
        # Each says that a table is streamed from there on.
        self.enabled: list[Change] = []
        # Table → why all its readers have to fetch it again, and the position of that.
        self.resets: dict[int, tuple[ResetReason, int]] = {}

    @property
    def has_only_events(self) -> bool:
        """Whether there is nothing to do for streams but to send events."""
        return not (self.endings or self.unanswered or self.enabled or self.resets)

    def add(self, other: "DeliveryPlan") -> None:
        """Take what another plan has, for other tables."""
        first = len(self.lists)
        self.lists += other.lists
        self.enabled += other.enabled
        for relation, numbers in other.broadcast.items():
            self.broadcast[relation] = tuple(first + number for number in numbers)
        for relation, lists in other.by_identity.items():
            self.by_identity[relation] = {
                identity: tuple(first + number for number in numbers) for identity, numbers in lists.items()
            }
        self.readers |= other.readers
        self.endings |= other.endings
        self.unanswered |= other.unanswered
        self.resets |= other.resets

    def add_endings(self, table: Table, identities: Collection[Identity]) -> None:
        """End these identities' streams of a table at dispatch: their role is refused, or the table is locked."""
        if identities:
            self.endings.setdefault(table.relation, set()).update(identities)

    def add_enabled(self, table: Table, changes: Iterable[Change]) -> None:
        """Note enables. ``dispatch`` resets the table for streams whose ``triggers`` lack the current one."""
        # With another trigger, it was enabled once more since: a later change says so.
        self.enabled += [change for change in changes if change.trigger == table.trigger]

    def set_readers(self, table: Table, readers: Collection[Identity]) -> None:
        """Set the identities whose role may SELECT from a table."""
        self.readers[table.relation] = readers

    def add_reset(self, table: Table, reason: ResetReason, position: int) -> None:
        """Tell all readers of a table to fetch it again."""
        self.resets[table.relation] = reason, position
        self._add_broadcast(table, [Event(position, lambda _: reset_event(reason, [table.name], position))])

    def add_deletes(self, table: Table, deletes: Iterable[Change], rows: Mapping[int, Row]) -> None:
        """Tell all readers of a table of deletes."""
        self._add_broadcast(table, [_event(each, table, rows[each.position]) for each in deletes])

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
                encoded[position, record] = _event(changes[position], table, row)
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
            change.position: _event(replace(change, action=Action.DELETE), table, rows[change.position])
            for change in changes
        }
        vanished: dict[frozenset[int], list[Identity]] = {}
        for view in before.views:
            for identity in view.identities:
                positions = frozenset(now.hidden_from(identity, view.rows.keys()))
                vanished.setdefault(positions, []).append(identity)
        for positions, identities in vanished.items():
            if positions:
                self._add(table, identities, [deletes[position] for position in positions])

    def _add(self, table: Table, identities: Iterable[Identity], events: Sequence[Event]) -> None:
        number = self._number(events)
        by_identity = self.by_identity.setdefault(table.relation, {})
        for identity in identities:
            by_identity[identity] = (*by_identity.get(identity, ()), number)

    def _add_broadcast(self, table: Table, events: Sequence[Event]) -> None:
        if events:
            self.broadcast[table.relation] = (*self.broadcast.get(table.relation, ()), self._number(events))

    def _number(self, events: Sequence[Event]) -> int:
        self.lists.append(events)
        return len(self.lists) - 1


def _event(change: Change, table: Table, row: Row) -> Event:
    return Event(change.position, partial(change_event, change, table, row))
