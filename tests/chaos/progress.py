"""How far a stream had provably got at which time, as seen from outside. Pure."""

import math
from bisect import bisect_left
from collections.abc import Sequence

from tests.chaos.history import Event
from tests.chaos.truth import Change, RowKey, Truth


class Progress:
    """How far a stream had got at each time, judged by the events that it had received."""

    def __init__(self, truth: Truth, events: Sequence[Event]) -> None:
        times: dict[str, list[float]] = {}
        for event in events:
            times.setdefault(event.kind, []).append(event.at)
        # Infinite if it never began.
        self._began = min(times.get("connected", [math.inf]))
        # When its client connected, for the first time or after it had left by itself.
        self._came = times.get("connecting", [])
        self._resets = times.get("reset", [])
        self._arrivals: list[float] = []
        # At that time the stream had passed everything that had finished committing before this.
        self._marks: list[float] = [-math.inf]
        count: dict[RowKey, int] = {}
        for event in (event for event in events if event.kind == "change"):
            row = (event.table, event.pk)
            place = count[row] = count.get(row, -1) + 1
            known = truth.rows.get(row, ())
            # The event may stand for a later change of the row, but never for an earlier one than this. Changes that
            # had committed before this was written have smaller ids, and are in no later batch. Changes that committed
            # between its write and its own commit may be in the same batch, after it.
            mark = known[place].written if place < len(known) else -math.inf
            self._arrivals.append(event.at)
            self._marks.append(max(self._marks[-1], mark))

    def passed(self, change: Change, until: float) -> bool:
        """Tell whether the stream should have received the change by this time; infinity: by its end.

        For changes that committed before the stream began, or while a reset was under way, this is unknown.
        """
        if change.started <= self._began:
            return False
        until = min([until, *(at for at in self._resets if at > change.started)])
        if math.isinf(until):
            return until > 0
        return self._marks[bisect_left(self._arrivals, until)] > change.finished

    def delay(self, change: Change, event: Event) -> float:
        """Return the seconds from the commit to the event's arrival, without those in which its client was away."""
        came = self._came[: bisect_left(self._came, event.at)][-1:]
        return max(0.0, event.at - max([change.finished if math.isfinite(change.finished) else event.at, *came]))
