"""Durations in buckets, and the time from a commit to the streams. Time is made up."""

from types import SimpleNamespace

import pytest

from ayb_realtime import counts as counts_module
from ayb_realtime.counts import BATCHES_MAX, SECONDS, Counts, Histogram, Latency
from ayb_realtime.log.changes import Action, Announcement, Change
from ayb_realtime.relay.outbox import Outbox


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Numbers that begin at 0, at 1000 seconds since the epoch."""
    monkeypatch.setattr(counts_module, "counts", fresh := Counts())
    monkeypatch.setattr(counts_module, "time", SimpleNamespace(time=lambda: 1000.0))
    return fresh


def test_duration_is_in_the_first_bucket_that_it_does_not_exceed() -> None:
    histogram = Histogram()
    for seconds in (0.0, SECONDS[0], SECONDS[0] * 1.001, SECONDS[-1], SECONDS[-1] + 1):
        histogram.add(seconds)
    assert [histogram.buckets[at] for at in (0, 1, -2, -1)] == [2, 1, 1, 1]
    assert sum(histogram.buckets) == 5
    assert histogram.seconds == pytest.approx(SECONDS[0] * 2.001 + SECONDS[-1] * 2 + 1)


def test_block_that_fails_is_timed() -> None:
    histogram = Histogram()
    with pytest.raises(LookupError), histogram.timing():
        raise LookupError
    assert sum(histogram.buckets) == 1


def test_answers_that_neither_show_nor_fail_are_withheld(counts: Counts) -> None:
    counts.add_answers(10, 4, 1)
    assert (counts.shown, counts.withheld, counts.unanswered) == (4, 5, 1)


def test_each_batch_is_measured_once_when_all_of_it_is_delivered(counts: Counts) -> None:
    latency = Latency()
    for head, committed_at in ((5, 999.0), (5, 990.0), (3, 980.0), (9, 998.0), (12, 1001.0)):
        latency.hear(head, committed_at)
    latency.deliver(4, is_followed=True)
    assert counts.delivery_seconds.seconds == 0
    latency.deliver(9, is_followed=True)
    assert (sum(counts.delivery_seconds.buckets), counts.delivery_seconds.seconds) == (2, 3.0)
    latency.deliver(12, is_followed=True)  # by a clock that is ahead
    assert (sum(counts.delivery_seconds.buckets), counts.delivery_seconds.seconds) == (3, 3.0)


def test_batch_is_not_measured_that_no_stream_follows_or_that_was_found_before_it_was_heard_of(counts: Counts) -> None:
    latency = Latency()
    latency.hear(5, 999.0)
    latency.deliver(5, is_followed=False)
    latency.deliver(9, is_followed=True)
    latency.hear(9, 999.0)
    latency.hear(10, None)
    latency.deliver(10, is_followed=True)
    assert sum(counts.delivery_seconds.buckets) == 0


def test_lower_positions_are_measured_after_the_log_was_rewound(counts: Counts) -> None:
    latency = Latency()
    latency.hear(50, 1.0)
    latency.forget()
    latency.hear(5, 999.0)
    latency.deliver(5, is_followed=True)
    assert counts.delivery_seconds.seconds == 1.0


def test_hub_that_delivers_nothing_remembers_so_many_batches(counts: Counts) -> None:
    latency = Latency()
    for head in range(BATCHES_MAX + 100):
        latency.hear(head + 1, 999.0)
    latency.deliver(10**9, is_followed=True)
    assert sum(counts.delivery_seconds.buckets) == BATCHES_MAX


def test_message_has_the_time_of_the_first_commit_that_waited_for_it() -> None:
    outbox = Outbox()
    outbox.put(Announcement(0))
    for position, committed_at in ((1, 7.0), (2, 8.0)):
        outbox.put(Announcement(position, (Change(position, 7, Action.CREATE, "{}"),), committed_at))
    (message,) = iter(outbox.take, None)
    assert (message.head, message.committed_at) == (2, 7.0)
    outbox.put(Announcement(3, (), 9.0))
    assert [each.committed_at for each in iter(outbox.take, None)] == [9.0]


def test_slice_is_of_the_batches_that_are_not_delivered_and_begin_before_its_end(counts: Counts) -> None:
    latency = Latency()
    for head, trace in ((5, "a"), (9, None), (12, "c"), (20, "d")):
        latency.hear(head, 1.0, trace)
    assert [*latency.traces(3)] == ["a"]
    latency.deliver(3, is_followed=True)
    assert [*latency.traces(12)] == ["a", "c"]
    latency.deliver(12, is_followed=True)
    assert [*latency.traces(13)] == ["d"]
