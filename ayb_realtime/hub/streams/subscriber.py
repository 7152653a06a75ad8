"""One open stream, as the hub knows it."""

import time
from collections.abc import Container, Iterable, Mapping
from uuid import uuid4

from ayb_realtime.access.proofs import Proof
from ayb_realtime.counts import counts
from ayb_realtime.filters import Filter
from ayb_realtime.hub.streams.body import Body
from ayb_realtime.hub.streams.unanswered_resets import UnansweredResets
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table, intern_tables
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.visibility import FilteredIdentity
from ayb_realtime.wire import sse
from ayb_realtime.wire.events import reset_event
from ayb_realtime.wire.form import WHOLE, Form

# Most streams have none.
NO_FILTERS: Mapping[tuple[str, str], Filter] = {}
NOT_FILTERED: Mapping[int, FilteredIdentity] = {}


class Subscriber(Body):
    """One stream: who reads it, and what its client knows.

    identity: who the client is to Postgres.
    tables, relations: the tables of the stream, and their oids.
    filters: schema and name → the filter of that table.
    filtered: oid → who the client is to Postgres where it has a filter on that table.
    triggers: those that its tables had when the client last fetched them. An ENABLE with another one means that the
        table was made again.
    position: everything up to it is in the buffer, or has been read.
    proofs: what has to remain true while the stream is open. The first is the user.
    opened_at: in seconds since the epoch.
    form: how its changes are written.
    """

    # Positions after ``position`` whose changes the client knows of all the same, from a snapshot.
    told: tuple[range, ...] = ()
    # Why its snapshot could not be sent to the end, which has ended the stream.
    failure = ""

    __slots__ = (  # Thousands wait at a time.
        "_heartbeat_seconds",
        "_unanswered_resets",
        "client_id",
        "filtered",
        "filters",
        "form",
        "identity",
        "opened_at",
        "position",
        "proofs",
        "relations",
        "tables",
        "triggers",
    )

    def __init__(
        self,
        identity: Identity,
        tables: Iterable[Table],
        *,
        buffer_bytes: int,
        heartbeat_seconds: float,
        filters: Mapping[tuple[str, str], Filter] = NO_FILTERS,
        expires_at: float | None = None,
        proofs: Iterable[Proof] = (),
        form: Form = WHOLE,
    ) -> None:
        super().__init__(buffer_bytes, expires_at)
        self.client_id = uuid4().hex
        self.opened_at = time.time()
        self.identity = identity
        self.proofs = tuple(proofs)
        self.form = form
        self.filters = filters
        self.set_tables(tables)
        self.triggers: frozenset[int] = frozenset()
        self.position = 0
        self._heartbeat_seconds = heartbeat_seconds
        # Of tables with rows that could not be checked: most streams have none.
        self._unanswered_resets: UnansweredResets | None = None

    def set_tables(self, tables: Iterable[Table]) -> None:
        """Subscribe to these tables, and to no others."""
        self.tables, self.relations, _ = intern_tables(tuple(tables))
        self.filtered = NOT_FILTERED
        if self.filters:
            named = {table.relation: self.filters.get((table.schema, table.name)) for table in self.tables}
            role, settings = self.identity.role, self.identity.settings
            self.filtered = {each: FilteredIdentity(role, settings, wanted) for each, wanted in named.items() if wanted}

    def reader(self, relation: int) -> Identity:
        """Return who the client is to Postgres as far as a table is concerned."""
        return self.filtered.get(relation, self.identity)

    def set_baseline(self, position: int) -> None:
        """Assume that the client knows what its tables hold up to this position, or fetches it now."""
        self.position = position
        _, _, self.triggers = intern_tables(self.tables)

    def push(self, chunk: bytes) -> None:
        """Put whole events into the buffer. If it is full, end the stream."""
        if self.ended or not chunk:
            return
        # If the client leaves before it hears of the reset, it has to come back to the position before.
        if not self.may_tell_position and len(bare := sse.without_ids(chunk)) < len(chunk):
            chunk = bare
        self.write(chunk)

    def reset(self, reason: ResetReason, relations: Container[int]) -> None:
        """Tell the client to fetch its tables among these again, and then to go on after ``position``."""
        if names := [table.name for table in self.tables if table.relation in relations]:
            self.push(self.reset_event(reason, names))

    def reset_event(self, reason: ResetReason, names: list[str]) -> bytes:
        """Encode the event that tells the client to fetch these tables again."""
        counts.resets[reason.name.lower()] += 1
        return reset_event(reason, names, self.position)

    def may_reset(self, relation: int) -> bool:
        """Return whether to reset a table now whose rows could not be checked; otherwise ``tick`` does it soon."""
        self._unanswered_resets = self._unanswered_resets or UnansweredResets()
        return self._unanswered_resets.may_send(relation)

    def tick(self) -> None:
        """Send a heartbeat if the stream has been silent for too long, and resets that are due; end it with its token.

        Called about once a second if ``due`` names it.
        """
        if self._unanswered_resets is not None:
            self.reset(ResetReason.UNANSWERED, self._unanswered_resets.take_due())
        is_silent = time.monotonic() - self.read_at >= self._heartbeat_seconds
        if (is_silent or self.has_expired()) and not self.write_past_reader(self.heartbeat()):
            self.wake()

    @staticmethod
    def due(subscribers: "Iterable[Subscriber]") -> "list[Subscriber]":
        """Return those to tick now. Of thousands that is a few, so each costs no more than one expression."""
        now, epoch_now = time.monotonic(), time.time()
        return [
            each
            for each in subscribers
            if now - each.read_at >= each._heartbeat_seconds  # noqa: SLF001
            or (each.expires_at is not None and epoch_now >= each.expires_at)
            or each._unanswered_resets is not None  # noqa: SLF001
        ]

    def heartbeat(self) -> bytes:
        """Return a comment, and the position."""
        return sse.heartbeat(self.position if self.may_tell_position else None)

    @property
    def may_tell_position(self) -> bool:
        """Whether a client that comes back to the position misses nothing."""
        return self._unanswered_resets is None or not self._unanswered_resets.owed
