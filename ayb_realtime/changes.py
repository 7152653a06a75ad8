"""Changes and batches of them, and what they look like on the way through the Channels layer. Pure."""

import json
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Change:
    """One row's create, update or delete, or a table's truncate.

    position: dense, from 1.
    xid: the transaction that made it.
    relation: the table's oid.
    record: the row as JSON text, as it was logged; None for a truncate.
    """

    position: int
    xid: int
    relation: int
    action: str
    record: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """What the relay publishes: the newest position, and the changes up to it, as far as they fit.

    changes: without a gap between them, the last one at ``head``. Empty: "the head is here", a heartbeat, or changes
    that are too large for the layer. The layer is a hint: whoever misses a position reads it from the log.
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


def in_batches(changes: Sequence[Change], max_bytes: int) -> Iterator[Batch]:
    """Cut changes into batches whose records together take at most ``max_bytes`` characters.

    A change that is larger than that alone becomes a batch without changes.
    """
    taken: list[Change] = []
    size = 0
    for change in changes:
        length = len(change.record or "")
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


def final_states(changes: Sequence[Change], key: Callable[[Change], Hashable]) -> list[Change]:
    """Keep of each transaction the final state of each row: others never saw the states in between.

    changes: creates, updates and deletes, in position order.
    key: of the row that a change is about.
    Returns changes in position order, each at the position of the last one that it stands for. A row that was created
    and deleted again has none.
    """
    first: dict[tuple[int, int, Hashable], Change] = {}
    last: dict[tuple[int, int, Hashable], Change] = {}
    for change in changes:
        row = (change.xid, change.relation, key(change))
        first.setdefault(row, change)
        last[row] = change
    states = []
    for row, change in last.items():
        existed = first[row].action != "create"
        exists = change.action != "delete"
        if existed or exists:
            action = ("update" if existed else "create") if exists else "delete"
            states.append(replace(change, action=action))
    return sorted(states, key=lambda change: change.position)
