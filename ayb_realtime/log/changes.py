"""Changes and announcements of them, and what they look like on the way through the Channels layer. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Any

from ayb_realtime.exceptions import InvalidMessage


class Action(StrEnum):
    """What a change did, as the log and the Channels layer spell it."""

    # To a row; clients read these words.
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    # To a whole table, whose rows may all be others now.
    TRUNCATE = "truncate"
    ALTER = "alter"
    # A table is streamed from here on.
    ENABLE = "enable"
    # To no table, so the relation is 0: an epoch ended here, and the next one begins after this position.
    EPOCH = "epoch"


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction did to a row or to a whole table.

    position: dense within an epoch, which begins after a random position.
    relation: the table's oid.
    record: the row as JSON text, as the transaction left it, or as a delete found it; for an enable a JSON object
        with the trigger's oid; None for the other actions.
    before: the row as the transaction found it; None if that was not logged, or if there was no row.
    """

    position: int
    relation: int
    action: Action
    record: str | None
    before: str | None = None

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> "Change":
        """Make a change of its fields in their order: a row of the log's SQL, or what ``Announcement.to_text`` wrote.

        Raises ValueError or TypeError for anything else.
        """
        position, relation, action, record, before = row
        return cls(position, relation, Action(action), record, before)

    @property
    def characters(self) -> int:
        """How many characters its rows have."""
        return len(self.record or "") + len(self.before or "")

    @property
    def trigger(self) -> int:
        """The oid of the trigger with which an ENABLE began to stream the table."""
        return int(json.loads(self.record or "")["trigger"])


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the relay publishes: the newest position, and changes up to it.

    head: the newest position.
    changes: without a gap between them. There may be none, or more after them up to ``head``: if they are too many or
        too large for the layer, hubs read them from the log.
    committed_at: none of the newest changes had committed before, in seconds since the epoch; None: not known.
    trace: the span of OpenTelemetry in which they were numbered, as a W3C ``traceparent``; None: there is none.
    """

    head: int
    changes: tuple[Change, ...] = ()
    committed_at: float | None = field(default=None, compare=False)
    trace: str | None = field(default=None, compare=False)

    def to_text(self) -> str:
        """Return it as text of ASCII characters alone."""
        # Not dataclasses.astuple, which takes eight times as long: it copies each field.
        rows = [(c.position, c.relation, c.action, c.record, c.before) for c in self.changes]
        return json.dumps([self.head, rows, self.committed_at, *([self.trace] if self.trace else [])])

    @classmethod
    def from_text(cls, text: str) -> "Announcement":
        """Read what ``to_text`` wrote. Raises InvalidMessage for anything else."""
        try:
            head, rows, committed_at, *trace = json.loads(text)
            announcement = cls(head, tuple([Change.from_row(row) for row in rows]), committed_at, *trace)
            if announcement.is_valid():
                return announcement
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidMessage(f"it holds no announcement ({error})") from error
        raise InvalidMessage("it holds no announcement that the relay could have made")

    def is_valid(self) -> bool:
        """Tell whether every field is of its type, and the positions are what they have to be."""
        if type(self.head) is not int or self.head < 0 or not all(map(_is_typed, self.changes)):
            return False
        if self.committed_at is not None and not (type(self.committed_at) is float and isfinite(self.committed_at)):
            return False
        if self.trace is not None and type(self.trace) is not str:
            return False
        if not self.changes:
            return True
        first, last = self.changes[0].position, self.changes[-1].position
        positions = [change.position for change in self.changes]
        return first > 0 and last <= self.head and positions == list(range(first, last + 1))


def _is_typed(change: Change) -> bool:
    return (
        type(change.position) is type(change.relation) is int
        and (change.record is None or type(change.record) is str)
        and (change.before is None or type(change.before) is str)
    )
