"""The bytes that a client gets, exactly."""

import json
import re
from pathlib import Path

import httpx
import pytest
from httpx_sse import EventSource

from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.postgres.tables import Table
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.wire.events import change_event, connected_event, expired_event, parse_event_id, reset_event
from ayb_realtime.wire.records import Row

POSTS = Table(7, "public", "posts", ("id",), ("created_at",), row_security=True, trigger=1)


def event(record: str, table: Table = POSTS, action: Action = Action.CREATE) -> bytes:
    """Encode a change at position 1042."""
    return change_event(Change(1042, 7, action, record), table, Row(record))


def test_create_is_what_the_wire_protocol_prints() -> None:
    record = '{"id":42,"title":"New Post","published":true,"created_at":"2026-02-07T22:00:00+00:00"}'
    assert event(record) == (
        b"id: 1042\n"
        b'data: {"action":"create","table":"posts","record":'
        b'{"id":42,"title":"New Post","published":true,"created_at":"2026-02-07T22:00:00Z"}}\n\n'
    )


def test_update_holds_the_whole_row() -> None:
    assert event('{"id":1,"title":"x"}', action=Action.UPDATE) == (
        b'id: 1042\ndata: {"action":"update","table":"posts","record":{"id":1,"title":"x"}}\n\n'
    )


def test_delete_holds_the_primary_key_alone() -> None:
    record = '{"title":"secret","id":42,"created_at":"2026-02-07T22:00:00+00:00"}'
    assert event(record, action=Action.DELETE) == (
        b'id: 1042\ndata: {"action":"delete","table":"posts","record":{"id":42}}\n\n'
    )


def test_delete_holds_every_column_of_the_key_in_its_order_and_types() -> None:
    table = Table(7, "public", "visits", ("day", "at", "visitor"), ("at",), row_security=False, trigger=1)
    record = '{"visitor":7,"note":"x","at":"2026-02-07T22:00:00.5+00:00","day":"2026-02-07"}'
    assert event(record, table, Action.DELETE) == (
        b'id: 1042\ndata: {"action":"delete","table":"visits","record":'
        b'{"day":"2026-02-07","at":"2026-02-07T22:00:00.5Z","visitor":7}}\n\n'
    )


def test_text_that_looks_like_a_timestamp_is_left_alone() -> None:
    record = (
        '{"id":1,"title":"2026-02-07T22:00:00+00:00",'
        '"body":{"at":"2026-02-07T22:00:00+00:00"},"created_at":"2026-02-07T22:00:00+00:00"}'
    )
    sent = event(record).decode()
    assert '"title":"2026-02-07T22:00:00+00:00"' in sent
    assert '"body":{"at":"2026-02-07T22:00:00+00:00"}' in sent
    assert '"created_at":"2026-02-07T22:00:00Z"' in sent


def test_every_timestamp_of_an_array_ends_in_z() -> None:
    sent = event(
        '{"id":1,"created_at":["2026-02-07T22:00:00+00:00",null,"2026-02-08T00:00:00.123456+00:00","infinity"]}'
    )
    assert b'"created_at":["2026-02-07T22:00:00Z",null,"2026-02-08T00:00:00.123456Z","infinity"]' in sent


@pytest.mark.parametrize("value", ["null", '"infinity"', '"-infinity"'])
def test_timestamp_without_a_time_zone_part_is_left_alone(value: str) -> None:
    assert f'"created_at":{value}}}'.encode() in event(f'{{"id":1,"created_at":{value}}}')


def test_column_that_the_subscriber_may_not_read_is_not_missed() -> None:
    assert event('{"id":1}') == b'id: 1042\ndata: {"action":"create","table":"posts","record":{"id":1}}\n\n'


@pytest.mark.parametrize("value", ['"NaN"', "9223372036854775807", "0.10000000000000000000001", "1e400", "-0", "1.0"])
def test_number_is_sent_as_postgres_wrote_it(value: str) -> None:
    assert f'"record":{{"id":{value}}}}}\n'.encode() in event(f'{{"id":{value}}}')


def test_line_ends_in_a_json_column_become_data_lines() -> None:
    sent = event('{"id":1,"body":{\n"a": 1,\r\n"b": 2}}')
    assert sent == (
        b"id: 1042\n"
        b'data: {"action":"create","table":"posts","record":{"id":1,"body":{\n'
        b'data: "a": 1,\n'
        b'data: "b": 2}}}\n\n'
    )
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=sent)
    (read,) = EventSource(response).iter_sse()
    assert read.json()["record"] == {"id": 1, "body": {"a": 1, "b": 2}}


def test_odd_names_are_quoted() -> None:
    table = Table(7, "public", 'say "hi"\n', ("the key",), (), row_security=False, trigger=1)
    sent = event('{"the key":1,"a\\"b":2}', table)
    data = sent.decode().split("data: ")[1]
    assert json.loads(data) == {"action": "create", "table": 'say "hi"\n', "record": {"the key": 1, 'a"b': 2}}
    assert list(json.loads(data)) == ["action", "table", "record"]


@pytest.mark.parametrize(("resumed", "said"), [(True, "true"), (False, "false")])
def test_connected_names_the_client_and_the_position_and_whether_it_resumes(resumed: bool, said: str) -> None:
    data = f'{{"clientId":"c7f0","resumed":{said}}}'
    assert connected_event("c7f0", 1041, resumed=resumed) == f"id: 1041\nevent: connected\ndata: {data}\n\n".encode()


def test_reset_names_the_reason_and_the_tables() -> None:
    assert reset_event(ResetReason.TRUNCATED, ["posts", "comments"], 9) == (
        b'id: 9\nevent: reset\ndata: {"reason":"table truncated","tables":["posts","comments"]}\n\n'
    )


def test_expired_has_no_position() -> None:
    assert expired_event() == b"event: expired\ndata: {}\n\n"


@pytest.mark.parametrize(("text", "position"), [("0", 0), ("1041", 1041), ("0007", 7), ("9" * 19, 10**19 - 1)])
def test_position_is_read(text: str, position: int) -> None:
    assert parse_event_id(text) == position


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1e3", " 1", "1_000", "x", "٣", "²", "9" * 20, "1" * 100_000])
def test_text_that_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(PositionUnavailable, match="not a position"):
        parse_event_id(text)


def test_protocol_lists_the_reasons_of_a_reset() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text().partition("## Reasons of a reset")[2]
    assert re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)[1:] == [*ResetReason]
