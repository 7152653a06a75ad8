"""Matches the events of a row with its changes. Pure."""

from collections.abc import Sequence

from tests.chaos.history import Event
from tests.chaos.truth import Change

Matched = list[Event | None]


def match(changes: Sequence[Change], required: Sequence[bool], events: Sequence[Event]) -> tuple[Matched, list[Event]]:
    """Match events with changes, both in order, so that as few as possible are lost or left over.

    changes, events: of one row.
    required: which changes had to arrive.
    Returns the event of each change, and the events that match none.
    """
    if len(changes) == len(events) and all(map(_stands_for, events, changes)):
        return list(events), []
    costs = _costs(changes, required, events)
    matched: Matched = [None] * len(changes)
    superfluous = []
    at, of = 0, 0
    while at < len(changes) or of < len(events):
        cost = costs[at][of]
        if at < len(changes) and not required[at] and cost == costs[at + 1][of]:
            at += 1
        elif (
            at < len(changes)
            and of < len(events)
            and _stands_for(events[of], changes[at])
            and cost == costs[at + 1][of + 1]
        ):
            matched[at] = events[of]
            at, of = at + 1, of + 1
        elif at < len(changes) and cost == costs[at + 1][of] + required[at]:
            at += 1
        else:
            superfluous.append(events[of])
            of += 1
    return matched, superfluous


def _stands_for(event: Event, change: Change) -> bool:
    """Tell whether the event may be that of the change: it has the content of that version or a later one."""
    return event.action == change.action and (change.action == "delete" or event.version >= change.version)


def _costs(changes: Sequence[Change], required: Sequence[bool], events: Sequence[Event]) -> list[list[int]]:
    """Return, for each change and event, the least number of lost and left-over ones from there on."""
    costs = [[0] * (len(events) + 1) for _ in range(len(changes) + 1)]
    for of in reversed(range(len(events))):
        costs[len(changes)][of] = len(events) - of
    for at in reversed(range(len(changes))):
        costs[at][len(events)] = costs[at + 1][len(events)] + required[at]
        for of in reversed(range(len(events))):
            best = min(costs[at + 1][of] + required[at], costs[at][of + 1] + 1)
            if _stands_for(events[of], changes[at]):
                best = min(best, costs[at + 1][of + 1])
            costs[at][of] = best
    return costs
