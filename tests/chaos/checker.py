"""Compare what one stream received with what was committed: lost, repeated, inverted, leaked. Pure.

Who should have received what is derived from the writers' records and from arrival times alone, never from the log. A
record is sent as its reader may see it when it is delivered, so a change may arrive with the content of a later version
of its row, and not at all if by then the row was hidden or deleted. A change is therefore required only if its reader
could see the row from the commit on, either to the end or until the stream had provably got past the change.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.history import Event
from tests.chaos.matching import match
from tests.chaos.truth import Change, RowKey, Truth

LOST, REPEATED, INVERTED, LEAKED = "lost", "repeated", "inverted", "leaked"
KINDS = (LOST, REPEATED, INVERTED, LEAKED)


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise.

    at: when the lost change was committed, or when the wrong event arrived.
    """

    kind: str
    at: float
    what: str


@dataclass(slots=True)
class Verdict:
    """What the checker says about one stream.

    deliveries: of required changes: when each was committed, and how many seconds later it arrived; while its client was
        away by itself, they do not count.
    resets: when they arrived.
    """

    findings: list[Finding] = field(default_factory=list)
    deliveries: list[tuple[float, float]] = field(default_factory=list)
    resets: list[float] = field(default_factory=list)
    required: int = 0


def check(truth: Truth, user: str, events: Sequence[Event]) -> Verdict:
    """Check everything that one stream received, over all its connections.

    user: whose stream it is.
    events: in the order of their arrival.
    """
    verdict = Verdict(resets=[event.at for event in events if event.kind == "reset"])
    began = next((event.at for event in events if event.kind == "connected"), None)
    if began is None:
        verdict.findings.append(Finding(LOST, math.inf, "the stream never began"))
        return verdict
    changes = [event for event in events if event.kind == "change"]
    verdict.findings += _order(events)
    verdict.findings += [finding for event in changes if (finding := _leak(truth, user, event))]
    by_row: dict[RowKey, list[Event]] = {}
    for event in changes:
        by_row.setdefault((event.table, event.pk), []).append(event)
    came = [event.at for event in events if event.kind == "connecting"]
    progress = Progress(truth, changes, began, verdict.resets, came)
    for row in truth.rows.keys() | by_row.keys():
        _check_row(verdict, progress, truth, user, row, by_row.get(row, []))
    return verdict


def _order(events: Sequence[Event]) -> list[Finding]:
    """Every id once, and ascending, but for those after a reset."""
    findings = []
    seen: set[int] = set()
    last = 0
    for event in events:
        if event.kind == "reset":
            last = event.id
        if event.kind != "change":
            continue
        if event.id in seen:
            findings.append(Finding(REPEATED, event.at, f"id {event.id} again: {_described(event)}"))
        elif event.id <= last:
            findings.append(Finding(INVERTED, event.at, f"id {event.id} after {last}: {_described(event)}"))
        seen.add(event.id)
        last = max(last, event.id)
    return findings


def _leak(truth: Truth, user: str, event: Event) -> Finding | None:
    if event.action == "delete":
        return None  # by the protocol, for everyone
    change = truth.tokens.get(event.token)
    if change is None or change.row != (event.table, event.pk):
        return Finding(LEAKED, event.at, f"a version that was never committed: {_described(event)}")
    if not truth.could_see(user, change.audience, change.started, event.at):
        return Finding(LEAKED, event.at, f"for {change.audience}, not for {user}: {_described(event)}")
    return None


def _check_row(
    verdict: Verdict, progress: "Progress", truth: Truth, user: str, row: RowKey, events: list[Event]
) -> None:
    changes = truth.rows.get(row, [])
    required = _required(progress, truth, user, changes)
    verdict.required += sum(required)
    matched, superfluous = match(changes, required, events)
    for change, must, event in zip(changes, required, matched, strict=True):
        if event is None and must:
            verdict.findings.append(Finding(LOST, change.started, f"{change.action} of {row}: {change.token}"))
        elif event is not None and must:
            verdict.deliveries.append((change.started, progress.delay(change, event)))
    verdict.findings += [
        Finding(REPEATED, event.at, f"no change is left for this event: {_described(event)}") for event in superfluous
    ]
    newest = 0
    for event in events:
        if event.action == "delete":
            newest = changes[-1].version if changes else newest
        elif event.version < newest:
            verdict.findings.append(Finding(INVERTED, event.at, f"back from version {newest}: {_described(event)}"))
        newest = max(newest, event.version)


def _required(progress: "Progress", truth: Truth, user: str, changes: Sequence[Change]) -> list[bool]:
    """Tell for each change of a row whether it had to arrive."""
    required = []
    hidden_at = math.inf
    for change in reversed(changes):
        until = math.inf
        if change.action != "delete":
            until = truth.sees_until(user, change.audience, change.started)
        required.append(progress.passed(change, min(until, hidden_at)))
        if change.action == "delete" or until < math.inf:
            hidden_at = min(hidden_at, max(until, change.started) if change.action != "delete" else change.started)
    return required[::-1]


class Progress:
    """How far a stream had got at which moment, by the events that it had received."""

    def __init__(
        self, truth: Truth, changes: Sequence[Event], began: float, resets: Sequence[float], came: Sequence[float]
    ) -> None:
        """began: when the stream was first connected. came: when its client, having left by itself, came back."""
        self._began = began
        self._came = came
        self._resets = resets
        self._arrivals: list[float] = []
        # By then the stream was past everything that had finished committing before this.
        self._marks: list[float] = [-math.inf]
        count: dict[RowKey, int] = {}
        for event in changes:
            row = (event.table, event.pk)
            place = count[row] = count.get(row, -1) + 1
            known = truth.rows.get(row, ())
            # The event may stand for a later change of the row, but never for an earlier one than this.
            mark = known[place].started if place < len(known) else -math.inf
            self._arrivals.append(event.at)
            self._marks.append(max(self._marks[-1], mark))

    def passed(self, change: Change, until: float) -> bool:
        """Tell whether the stream should have had the change by then; infinity: by its end.

        What was committed before the stream began, or while a reset was on its way, nobody can say.
        """
        if change.started <= self._began:
            return False
        until = min([until, *(at for at in self._resets if at > change.started)])
        if math.isinf(until):
            return until > 0
        return self._marks[bisect_left(self._arrivals, until)] > change.finished

    def delay(self, change: Change, event: Event) -> float:
        """Return how many seconds after the commit the event arrived; while its client is away, they do not count."""
        came = self._came[: bisect_left(self._came, event.at)][-1:]
        return max(0.0, event.at - max([change.finished if math.isfinite(change.finished) else event.at, *came]))


def _described(event: Event) -> str:
    return f"{event.action} of {event.table} {event.pk} {event.token or '(deleted)'}, id {event.id}"
