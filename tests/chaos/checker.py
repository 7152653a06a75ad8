"""Compare what one stream received with what was committed: lost, repeated, inverted, leaked. Pure.

Who should have received what follows only from the writers' records and the arrival times, never from the log. A record
is sent as its reader may see it at delivery. So a change may arrive with the content of a later version of its row, or
not at all if the row was hidden or deleted by then. Therefore a change is required only if its reader could see the row
from the commit on, either to the end or until the stream had provably passed the change.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.history import Event
from tests.chaos.matching import match
from tests.chaos.progress import Progress
from tests.chaos.truth import Change, RowKey, Truth

LOST, REPEATED, INVERTED, LEAKED = "lost", "repeated", "inverted", "leaked"
DIFFERENT = "rows that differ from SELECT"
KINDS = (LOST, REPEATED, INVERTED, LEAKED, DIFFERENT)


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

    deliveries: for each required change, the time of its commit, and the seconds until it arrived, without the seconds
        in which its client stayed away.
    resets: the times at which they arrived.
    """

    findings: list[Finding] = field(default_factory=list)
    deliveries: list[tuple[float, float]] = field(default_factory=list)
    resets: list[float] = field(default_factory=list)
    required: int = 0


def check(truth: Truth, user: str, events: Sequence[Event], resets_at_most: float = 0) -> Verdict:
    """Check everything that one stream received, over all its connections.

    user: whose stream it is.
    events: in the order of their arrival.
    resets_at_most: how many resets there was a reason for.
    """
    changes = [event for event in events if event.kind == "change"]
    verdict = Verdict(resets=[event.at for event in events if event.kind == "reset"])
    if not any(event.kind == "connected" for event in events):
        verdict.findings.append(Finding(LOST, math.inf, "the stream never began"))
    verdict.findings += [
        Finding(LOST, at, "told to fetch again without a reason")
        for number, at in enumerate(verdict.resets)
        if number >= resets_at_most
    ]
    verdict.findings += _order(events)
    verdict.findings += [finding for event in changes if (finding := leak(truth, user, event))]
    by_row: dict[RowKey, list[Event]] = {row: [] for row in truth.rows}
    for event in changes:
        by_row.setdefault((event.table, event.pk), []).append(event)
    progress = Progress(truth, events)
    for row, received in by_row.items():
        committed = truth.rows.get(row, [])
        _check_row(verdict, progress, committed, required(progress, truth, user, committed), received)
        verdict.findings += _versions(committed, received)
    return verdict


def _order(events: Sequence[Event]) -> list[Finding]:
    """Check that ids are unique and ascending, except after a reset. An event without an id is not checked."""
    findings = []
    seen: set[int] = set()
    last = 0
    for event in events:
        if event.kind == "reset":
            last = event.id
        if event.kind != "change" or not event.id:
            continue
        if event.id in seen:
            findings.append(Finding(REPEATED, event.at, f"id {event.id} again: {_described(event)}"))
        elif event.id <= last:
            findings.append(Finding(INVERTED, event.at, f"id {event.id} after {last}: {_described(event)}"))
        seen.add(event.id)
        last = max(last, event.id)
    return findings


def leak(truth: Truth, user: str, event: Event) -> Finding | None:
    """Check that a user may have been shown a record: that of an event, or a row of a snapshot."""
    if event.action == "delete":
        return None  # By the protocol it is for everyone.
    change = truth.tokens.get(event.token)
    if change is None or change.row != (event.table, event.pk):
        return Finding(LEAKED, event.at, f"a version that was never committed: {_described(event)}")
    if not truth.could_see(user, change.audience, change.started, event.at):
        return Finding(LEAKED, event.at, f"for {change.audience}, not for {user}: {_described(event)}")
    return None


def _check_row(
    verdict: Verdict, progress: Progress, changes: Sequence[Change], musts: Sequence[bool], events: Sequence[Event]
) -> None:
    """Match the events of one row with its changes."""
    verdict.required += sum(musts)
    matched, superfluous = match(changes, musts, events)
    for change, must, event in zip(changes, musts, matched, strict=True):
        if must and event is not None:
            verdict.deliveries.append((change.started, progress.delay(change, event)))
        elif must:
            verdict.findings.append(Finding(LOST, change.started, f"{change.action} of {change.row}: {change.token}"))
    verdict.findings += [
        Finding(REPEATED, event.at, f"no change is left for this event: {_described(event)}") for event in superfluous
    ]


def _versions(changes: Sequence[Change], events: Sequence[Event]) -> list[Finding]:
    """Check that a row's versions never decrease, and that a deleted row stays deleted."""
    findings = []
    newest = 0
    for event in events:
        version = changes[-1].version if event.action == "delete" and changes else event.version
        if version < newest:
            findings.append(Finding(INVERTED, event.at, f"back from version {newest}: {_described(event)}"))
        newest = max(newest, version)
    return findings


def required(progress: Progress, truth: Truth, user: str, changes: Sequence[Change]) -> list[bool]:
    """Return for each change of a row whether it was required to arrive."""
    musts = []
    # When the row was next hidden or deleted.
    hidden_at = math.inf
    for change in reversed(changes):
        deletes = change.action == "delete"
        until = math.inf if deletes else truth.sees_until(user, change.audience, change.started)
        musts.append(progress.passed(change, until if deletes else min(until, hidden_at)))
        if deletes or until < math.inf:
            hidden_at = change.started if deletes else min(hidden_at, max(until, change.started))
    return musts[::-1]


def _described(event: Event) -> str:
    return f"{event.action} of {event.table} {event.pk} {event.token or '(deleted)'}, id {event.id}"
