"""Changes and batches of them, and what they look like on the way through the Channels layer. Pure."""

import json
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction did to a row, create, update or delete, or to a whole table, truncate or enable.

    Or the next epoch, of relation 0, which is no change of any table: positions go on after its own.

    position: dense, from 1.
    relation: the table's oid.
    record: the row as JSON text, as the transaction left it, or as it was at its delete; None for a truncate; for an
        enable the trigger.
    before: the row as the transaction found it; None where that is not kept, and where there was none.
    """

    position: int
    relation: int
    action: str
    record: str | None
    before: str | None = None

    @property
    def characters(self) -> int:
        """How large it is."""
        return len(self.record or "") + len(self.before or "")


@dataclass(frozen=True, slots=True)
class Batch:
    """What the relay publishes: the newest position, and changes before it.

    changes: without a gap between them. Those after the last of them, up to ``head``, are in the log alone: they are
    many, or too large for the layer, which is a hint; whoever misses a position reads it from the log.
    """

    head: int
    changes: tuple[Change, ...] = ()

    def to_message(self) -> dict[str, str]:
        """Return a message for any layer. It holds one string: the layers differ in the other types that they take."""
        return {
            "type": "ayb_realtime.batch",
            "batch": json.dumps([self.head, [astuple(change) for change in self.changes]]),
        }

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> "Batch":
        """Read what ``to_message`` wrote."""
        head, changes = json.loads(message["batch"])
        return cls(head, tuple(Change(*fields) for fields in changes))


def in_messages(batch: Batch, max_bytes: int) -> Iterator[Batch]:
    """Cut a batch into such that hold at most ``max_bytes`` characters of records each.

    A change that is larger than that alone is left to the log.
    """
    taken: list[Change] = []
    size = 0
    for change in batch.changes:
        length = change.characters
        if taken and size + length > max_bytes:
            yield Batch(taken[-1].position, tuple(taken))
            taken, size = [], 0
        if length > max_bytes:
            yield Batch(change.position)
        else:
            taken.append(change)
            size += length
    if taken:
        yield Batch(taken[-1].position, tuple(taken))
    if not batch.changes or batch.changes[-1].position < batch.head:
        yield Batch(batch.head)
