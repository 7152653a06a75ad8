"""Check a stream with snapshots: each part, from a snapshot to the next, as a stream of its own. Pure.

What a snapshot holds follows from its rows' versions. So of a row that it has, every later version has to arrive, and
no other.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

from tests.chaos.checker import Finding, check, leak
from tests.chaos.history import Event
from tests.chaos.truth import RowKey, Truth

# If a stream breaks off this soon after a snapshot, its client may be told again what the snapshot has.
UNSURE_SECONDS = 3.0


@dataclass(slots=True)
class Part:
    """A snapshot, and what came after it.

    began, ready, ended: when the client connected or heard of the reset, when the snapshot was complete, and when the
        client dropped its rows.
    """

    began: float
    snapshot: dict[RowKey, Event]
    ready: float
    events: list[Event] = field(default_factory=list)
    is_sure: bool = True
    ended: float = math.inf

    def add(self, event: Event) -> None:
        """Add an event; that the client has connected again is one."""
        if event.kind == "connected":
            self.is_sure &= bool(self.events) and event.at - self.ready > UNSURE_SECONDS
        else:
            self.events.append(event)


def held(events: Iterable[Event]) -> dict[RowKey, Event]:
    """Return the rows that a page has which received these events, each as it received it."""
    rows: dict[RowKey, Event] = {}
    is_complete = False
    for event in events:
        if event.kind in ("reset", "reload") or (event.kind == "connected" and not is_complete):
            rows.clear()
            is_complete = False
        elif event.kind == "ready":
            is_complete = True
        elif event.action == "delete":
            rows.pop((event.table, event.pk), None)
        elif event.kind in ("change", "row"):
            rows[event.table, event.pk] = event
    return rows


def parts(events: Iterable[Event]) -> Iterator[Part]:
    """Cut a stream where the client drops its rows. A snapshot that is not complete is no part."""
    began, rows, part = 0.0, dict[RowKey, Event](), None
    for event in events:
        if event.kind in ("reset", "reload"):
            if part:
                part.add(replace(event, kind="reset"))
                part.ended = event.at
                yield part
            began, rows, part = event.at, {}, None
        elif part:
            part.add(event)
        elif event.kind == "connected":
            began, rows = event.at, {}
        elif event.kind == "row":
            rows[event.table, event.pk] = event
        elif event.kind == "ready":
            part = Part(began, rows, event.at)
    if part:
        yield part


def check_part(truth: Truth, user: str, part: Part) -> Iterator[Finding]:
    """Yield what is wrong with a snapshot and what followed it."""
    for row in part.snapshot.values():
        if row.version and (finding := leak(truth, user, row)):  # Others were there before the writers.
            yield finding
    if part.is_sure:
        # A row that was deleted before the snapshot was complete may have come and gone before it began.
        gone = {row for row in truth.rows if row not in part.snapshot and _is_deleted(truth, row, part.ready)}
        yield from _check_rows(truth, user, part, truth.rows.keys() - gone, part.began)
        yield from _check_rows(truth, user, part, gone, part.ready)


def _is_deleted(truth: Truth, row: RowKey, before: float) -> bool:
    return any(change.action == "delete" and change.started < before for change in truth.rows[row])


def _check_rows(truth: Truth, user: str, part: Part, rows: set[RowKey], began: float) -> Sequence[Finding]:
    left = copy(truth)
    known = {row: part.snapshot[row].version for row in rows & part.snapshot.keys()}
    left.rows = {
        row: [each for each in truth.rows[row] if each.version > known.get(row, 0) and each.started < part.ended]
        for row in rows
    }
    events = [event for event in part.events if event.kind != "change" or (event.table, event.pk) in rows]
    return check(left, user, [Event(began, 0, "connected"), *events], math.inf).findings
