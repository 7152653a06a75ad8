"""What has happened in this process since it began, as plain numbers. Pure.

The modules where it happens add to them, which costs a fraction of a microsecond. ``metrics`` gives them names, and
reads them when it is asked to.
"""

import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec

NO_CLIENT = "The metrics need prometheus-client: pip install django-ayb-realtime[metrics]"
# Upper limits of the histograms' buckets. A relay that is awake looks for changes about every 20 ms.
SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# How many batches that are not delivered yet are remembered with the times of their commits.
BATCHES_MAX = 1000


def has_prometheus_client() -> bool:
    """Tell whether the package is installed without which there are no metrics."""
    return find_spec("prometheus_client") is not None


class Histogram:
    """How many durations there were in each bucket of SECONDS, with one more for what is longer; and their sum."""

    def __init__(self) -> None:
        self.buckets = [0] * (len(SECONDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration."""
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.seconds += seconds

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Count how long the block takes, also if it fails."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.add(time.monotonic() - began)


@dataclass(slots=True)
class Counts:
    """The numbers of a process.

    numbered, publish_failures: of a relay. Changes that it has numbered; messages that its outlet did not take.
    changes: those of tables that a stream follows, which the hub has delivered. ``events``: of those and of resets, all
        that were put into streams: one for each event and stream.
    shown, withheld, unanswered: pairs of a changed row and an identity whose streams follow its table, by the answer.
    log_reads: how often the hub read from the log what it had not heard.
    refusals: by the status. ``limits``: those beyond a limit, by its name. ``endings``, ``resets``: by the reason.
        ``failures``: by the table and the kind.
    opened: streams by whether they resume.
    """

    numbered: int = 0
    publish_failures: int = 0
    changes: int = 0
    events: int = 0
    shown: int = 0
    withheld: int = 0
    unanswered: int = 0
    log_reads: int = 0
    opened: Counter[bool] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    resets: Counter[str] = field(default_factory=Counter)
    refusals: Counter[int] = field(default_factory=Counter)
    limits: Counter[str] = field(default_factory=Counter)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    check_seconds: Histogram = field(default_factory=Histogram)
    delivery_seconds: Histogram = field(default_factory=Histogram)

    def add_answers(self, pairs: int, shown: int, unanswered: int) -> None:
        """Count the answers about so many pairs of a changed row and an identity."""
        self.shown += shown
        self.unanswered += unanswered
        self.withheld += pairs - shown - unanswered


counts = Counts()


class Latency:
    """Measures how long batches of changes take from their commits into the streams of a hub."""

    def __init__(self) -> None:
        # The head of each batch that is not delivered, the time of its earliest commit, and its trace.
        self._waiting: deque[tuple[int, float, str | None]] = deque()
        self._known = 0

    def hear(self, head: int, committed_at: float | None, trace: str | None = None) -> None:
        """Note when the changes up to a new head have committed, in seconds since the epoch; None: not known.

        trace: of the batch, as an announcement has it.
        """
        if committed_at is not None and head > self._known and len(self._waiting) < BATCHES_MAX:
            self._known = head
            self._waiting.append((head, committed_at, trace))

    def deliver(self, position: int, *, is_followed: bool) -> None:
        """Count the batches up to a position, if a stream follows a table of theirs."""
        self._known = max(self._known, position)
        while self._waiting and self._waiting[0][0] <= position:
            _, committed_at, _ = self._waiting.popleft()
            if is_followed:
                # The clocks of two hosts may differ.
                counts.delivery_seconds.add(max(0.0, time.time() - committed_at))

    def traces(self, upto: int) -> Iterator[str]:
        """Yield the traces of the batches from which the next changes are, up to a position."""
        begins = 0
        for head, _, trace in self._waiting:
            if begins >= upto:
                return
            begins = head
            if trace:
                yield trace

    def forget(self) -> None:
        """Forget what was heard: the log has other positions now."""
        self._waiting.clear()
        self._known = 0
