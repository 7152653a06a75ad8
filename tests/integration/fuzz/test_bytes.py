"""What reads and writes bytes without a database: any input has an answer, and what is written is read back."""

import json
from contextlib import suppress

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent
from hypothesis import given
from hypothesis import strategies as st

from ayb_realtime.exceptions import InvalidField, InvalidMessage, InvalidParameter, PositionUnavailable
from ayb_realtime.filters import MOST_CONDITIONS, MOST_VALUES, parse
from ayb_realtime.log.changes import Action, Announcement, Change
from ayb_realtime.log.messages import TYPE, from_message, from_payload, to_payload
from ayb_realtime.postgres.tables import Table
from ayb_realtime.wire import sse
from ayb_realtime.wire.events import change_event, parse_event_id
from ayb_realtime.wire.form import Form, sent_columns
from ayb_realtime.wire.records import Row
from tests.fuzz import inputs, several
from tests.fuzz.values import fields, filters, json_texts, positions, texts, values

GROUP = "ayb_realtime.one"
BATCH = Announcement(5, (Change(5, 7, Action.CREATE, '{"id":1,"body":"\U0001f986"}'),))


def read(stream: bytes) -> list[ServerSentEvent]:
    """Read a stream by an independent parser, which yields an event for a comment, too."""
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    return [event for event in EventSource(response).iter_sse() if event.data or event.event != "message"]


def lines(data: str) -> str:
    """Return text as a client reads it."""
    return data.replace("\r\n", "\n").replace("\r", "\n")


@given(several(st.tuples(texts, texts, st.integers(0, 2**63).map(str))))
@inputs("event streams")
def test_events_that_can_be_written_are_read_back(written: list[tuple[str, str, str]]) -> None:
    stream, expected = sse.retry(2000), []
    for data, event, position in written:
        try:
            stream += sse.encode(data, event=event, id=position) + sse.heartbeat(None)
        except InvalidField:
            assert {"\r", "\n", "\0"} & set(event)
            continue
        if data or event:
            expected.append((lines(data), event or "message", position))
    assert [(event.data, event.event, event.id) for event in read(stream)] == expected
    assert not any(event.id for event in read(sse.without_ids(stream)))


@given(
    several(st.tuples(texts.filter(bool), values)),
    texts.filter(lambda name: name and "\0" not in name),
    st.sampled_from(["create", "update", "delete"]),
    st.booleans(),
)
@inputs("events", together=1)
def test_change_of_any_row_is_read_back(
    others: list[tuple[str, object]], name: str, action: str, is_named: bool
) -> None:
    columns = {**dict(others), "id": 1}
    table = Table(7, "public", name, ("id",), (), row_security=False, trigger=1)
    row = Row(json.dumps(columns, ensure_ascii=False))
    (event,) = read(change_event(Change(9, 7, Action(action), row.text), table, row, Form(is_named=is_named)))
    record = {"id": 1} if action == "delete" else columns
    # As text, since NaN equals nothing.
    expected = json.dumps({"action": action, "table": name, "record": record})
    assert json.dumps(json.loads(event.data)) == expected
    assert event.id == "9"
    assert event.event == (f"{' '.join(name.splitlines())}.{action}" if is_named else "message")


@given(several(filters))
@inputs("filters")
def test_any_filter_is_read_within_its_limits_or_refused(drawn: list[str]) -> None:
    for texts_of_one in (*([each] for each in drawn), drawn):
        try:
            found = parse(texts_of_one, ["posts", "public.posts"])
        except InvalidParameter as error:
            str(error).encode()
            continue
        assert all(0 < len(each) <= MOST_CONDITIONS for each in found.values())
        assert sum(len(clause.values) for each in found.values() for clause in each) <= MOST_VALUES


@given(several(fields))
@inputs("fields")
def test_any_fields_are_columns_that_may_be_read_or_refused(drawn: list[str]) -> None:
    table = Table(7, "public", "posts", ("id",), (), row_security=False, trigger=1)
    readable = {"id", "title", "body"}
    for each in drawn:
        try:
            sent = dict(sent_columns(each.split(","), [table], {7: readable}))
        except InvalidParameter:
            continue
        assert sent["public", "posts"] <= readable


@given(several(positions))
@inputs("positions")
def test_any_position_is_a_number_of_the_log_or_refused(drawn: list[str]) -> None:
    for text in drawn:
        try:
            assert 0 <= parse_event_id(text) < 10**19
        except PositionUnavailable:
            assert not (text.isascii() and text.isdecimal() and len(text) <= 19)


messages = st.fixed_dictionaries(
    {}, optional={"type": st.just(TYPE) | values, "batch": st.just(BATCH.to_text()) | json_texts, "seal": values}
)


@given(several(messages | values))
@inputs("messages")
def test_any_message_is_refused(drawn: list[object]) -> None:
    for message in drawn:
        with pytest.raises(InvalidMessage):
            from_message(message, GROUP)


@given(several(st.tuples(json_texts, st.integers(0, 200), st.text(max_size=2))))
@inputs("payloads")
def test_any_payload_but_the_relays_own_is_refused(drawn: list[tuple[str, int, str]]) -> None:
    own = to_payload(BATCH, GROUP)
    for text, at, other in drawn:
        mangled = own[: at % len(own)] + other + own[at % len(own) + len(other) :]
        for payload in (text, mangled):
            try:
                assert from_payload(payload, GROUP) == Announcement(BATCH.head)
                assert json.loads(payload) == json.loads(own)
            except InvalidMessage:
                assert payload != own
        with suppress(InvalidMessage):
            assert Announcement.from_text(text).is_valid()
