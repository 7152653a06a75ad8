"""Streams as Python reads them, whatever the pieces in which they come."""

from decimal import Decimal

import pytest

from ayb_realtime.hub.streams.snapshot_subscriber import NO_POSITION
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.postgres.tables import Table
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.wire import reading, sse
from ayb_realtime.wire.events import (
    change_event,
    connected_event,
    expired_event,
    ready_event,
    reset_event,
    snapshot_event,
)  # fmt: skip
from ayb_realtime.wire.records import Row

POSTS = Table(7, "public", "po\nsts", ("id",), (), row_security=True, trigger=1)
RECORD = '{"id":1,"data":{"a":\r\n\n"x\\n\u2028"},"b":"\\""}'


def change(position: int, action: Action) -> bytes:
    """Encode a change of the same row."""
    return change_event(Change(position, 7, action, RECORD), POSTS, Row(RECORD))


STREAM = b"".join(
    [
        sse.retry(2500) + connected_event("x", 10, resumed=True),
        change(11, Action.CREATE),
        sse.heartbeat(12),
        sse.without_ids(change(13, Action.DELETE)),
        reset_event(ResetReason.UNANSWERED, ["a", "b"], 14),
        NO_POSITION + sse.without_ids(reset_event(ResetReason.TRUNCATED, ["a"], 15)),
        snapshot_event(POSTS, [RECORD, '{"id":2}']),
        snapshot_event(POSTS, []),
        sse.heartbeat(None),
        ready_event(14),
        expired_event(),
    ]
)
VALUES = [
    reading.Change("create", "po\nsts", RECORD.replace("\r\n", "\n"), 11),
    reading.Change("delete", "po\nsts", '{"id":1}', 12),
    reading.Reset("row could not be checked", ("a", "b"), 14),
    reading.Reset("table truncated", ("a",), 0),
    reading.Snapshot("po\nsts", f'[{RECORD.replace(chr(13) + chr(10), chr(10))},{{"id":2}}]', 0),
    reading.Snapshot("po\nsts", "[]", 0),
    reading.Ready(14),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, len(STREAM)])
def test_values_are_the_same_however_the_stream_is_cut(size: int) -> None:
    reader = reading.Reader()
    values = [value for at in range(0, len(STREAM), size) for value in reader.take(STREAM[at : at + size])]
    assert values == VALUES
    assert (reader.position, reader.retry_seconds, reader.has_expired) == (14, 2.5, True)


def test_records_of_a_snapshot_are_as_exact_as_a_record() -> None:
    rows = reading.Snapshot("posts", '[{"id":1,"price":0.10},{"id":2,"price":null}]')
    assert rows.records == [{"id": 1, "price": Decimal("0.10")}, {"id": 2, "price": None}]


def test_record_is_parsed_when_it_is_asked_for() -> None:
    deep = reading.Change("create", "posts", '{"id":1,"data":' + "[" * 100_000 + "]" * 100_000 + "}", 1)
    with pytest.raises(RecursionError):
        deep.record  # noqa: B018
