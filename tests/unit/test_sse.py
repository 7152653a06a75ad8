"""The encoder, against the specification's examples (WHATWG HTML, "Server-sent events") and an independent parser."""

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent

from ayb_realtime.exceptions import InvalidField
from ayb_realtime.wire import sse


def parsed(stream: bytes) -> list[ServerSentEvent]:
    """Read a stream as a client does: by the specification, an event without data is ignored."""
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    return [event for event in EventSource(response).iter_sse() if event.data]


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (sse.encode("YHOO"), b"data: YHOO\n\n"),
        (sse.encode("YHOO\n+2\n10"), b"data: YHOO\ndata: +2\ndata: 10\n\n"),
        (sse.encode("first event", id="1"), b"id: 1\ndata: first event\n\n"),
        (sse.encode("73857293", event="add"), b"event: add\ndata: 73857293\n\n"),
        (sse.encode("{}", event="reset", id="7"), b"id: 7\nevent: reset\ndata: {}\n\n"),
        (sse.encode(""), b"data: \n\n"),
        (sse.encode(" third event"), b"data:  third event\n\n"),
        (sse.encode("Grüße 🦆"), "data: Grüße 🦆\n\n".encode()),
        (sse.retry(2000), b"retry: 2000\n"),
        (sse.heartbeat(7), b": heartbeat\nid: 7\n\n"),
    ],
)
def test_field_is_written_as_the_specification_says(encoded: bytes, expected: bytes) -> None:
    assert encoded == expected


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"])
def test_each_kind_of_line_end_starts_a_data_line(line_end: str) -> None:
    assert sse.encode(f"a{line_end}b") == b"data: a\ndata: b\n\n"


@pytest.mark.parametrize(
    "data", ["a\n\nb", "a\n", "a\r\r\nb\n", "event: other", "a\u2028b\x85c\x0bd\x0ce\x1cf", ": no comment"]
)
def test_any_data_is_read_back_as_one_event(data: str) -> None:
    (event,) = parsed(sse.encode(data, id="5"))
    assert event.data == data.replace("\r\n", "\n").replace("\r", "\n")
    assert (event.event, event.id) == ("message", "5")


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "\n", "a\r\n"])
def test_field_that_would_end_early_is_refused(value: str) -> None:
    with pytest.raises(InvalidField, match="'id'"):
        sse.encode("", id=value)
    with pytest.raises(InvalidField, match="'event'"):
        sse.encode("", event=value)


def test_events_one_after_another_stay_apart() -> None:
    first, second = sse.encode("first", id="1", event="connected"), sse.encode("second", id="2")
    events = parsed(sse.retry(3000) + first + sse.heartbeat(7) + second)
    assert [(event.id, event.event, event.data, event.retry) for event in events] == [
        ("1", "connected", "first", 3000),
        ("2", "message", "second", None),
    ]
