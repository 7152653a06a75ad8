"""Which columns of a record are sent, and what its event is named."""

import re

import pytest

from ayb_realtime.exceptions import InvalidParameter
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.postgres.tables import Table
from ayb_realtime.wire.events import change_event, snapshot_event
from ayb_realtime.wire.form import Form, sent_columns
from ayb_realtime.wire.records import Row

POSTS = Table(7, "public", "posts", ("id",), ("at",), row_security=True, trigger=1)
COMMENTS = Table(8, "public", "comments", ("post", "n"), (), row_security=True, trigger=2)
OTHERS = Table(9, "blog", "posts", ("id",), (), row_security=True, trigger=3)
READABLE = {7: ["id", "title", "body", "at"], 8: ["post", "n", "body"], 9: ["id", "title", "a.b"]}
ROWS = {
    POSTS: Row('{"id":1,"title":"x","body":"y","at":"2026-01-01T00:00:00+00:00"}'),
    COMMENTS: Row('{"post":1,"n":2,"body":"z"}'),
    OTHERS: Row('{"id":3,"title":"o","a.b":4}'),
}


def sent(*fields: str) -> list[list[str]]:
    """Return the columns that are sent of each table."""
    form = Form(sent_columns(fields, list(ROWS), READABLE))
    return [list(form.of_row(table, row.columns)) for table, row in ROWS.items()]


@pytest.mark.parametrize(
    ("fields", "columns"),
    [
        (["title"], [["id", "title"], ["post", "n"], ["id", "title"]]),
        (["body", "title"], [["id", "title", "body"], ["post", "n", "body"], ["id", "title"]]),
        (["id"], [["id"], ["post", "n"], ["id"]]),
        (["posts.title"], [["id", "title"], ["post", "n", "body"], ["id", "title"]]),
        (["public.posts.body"], [["id", "body"], ["post", "n", "body"], ["id", "title", "a.b"]]),
        (["blog.posts.a.b", "comments.n"], [["id", "title", "body", "at"], ["post", "n"], ["id", "a.b"]]),
        (["posts.at", "n"], [["id", "at"], ["post", "n"], ["id"]]),
    ],
)
def test_fields_are_columns_of_all_tables_that_have_them_or_of_one(fields: list[str], columns: list[list[str]]) -> None:
    assert sent(*fields) == columns


@pytest.mark.parametrize("field", ["secret", "posts.n", "comments.title", "posts", "posts.", ".title", "Title", "*"])
def test_unknown_column_is_named(field: str) -> None:
    with pytest.raises(InvalidParameter, match=f"^fields: unknown column: {re.escape(field)}$"):
        sent("title", field)


def test_order_of_fields_makes_no_other_form() -> None:
    tables = list(ROWS)
    assert sent_columns(["id", "body"], tables, READABLE) == sent_columns(["body", "id"], tables, READABLE)


def test_records_of_events_and_snapshots_have_these_columns_and_deletes_the_key() -> None:
    form = Form(sent_columns(["at"], [POSTS], READABLE))
    row, change = ROWS[POSTS], Change(5, 7, Action.UPDATE, ROWS[POSTS].text)
    record = b'{"id":1,"at":"2026-01-01T00:00:00Z"}'
    assert change_event(change, POSTS, row, form) == (
        b'id: 5\ndata: {"action":"update","table":"posts","record":' + record + b"}\n\n"
    )
    assert snapshot_event(POSTS, [row.text, row.text], form) == (
        b'event: snapshot\ndata: {"table":"posts","records":[' + record + b"," + record + b"]}\n\n"
    )
    delete = Change(6, 7, Action.DELETE, row.text)
    assert change_event(delete, POSTS, row, form) == change_event(delete, POSTS, row)


@pytest.mark.parametrize("table", list(ROWS))
def test_whole_records_of_snapshots_are_those_of_events(table: Table) -> None:
    row = ROWS[table]
    event = change_event(Change(5, table.relation, Action.UPDATE, row.text), table, row)
    assert snapshot_event(table, [row.text]).split(b'"records":')[1] == b"[" + event.split(b'"record":')[1].replace(
        b"}\n\n", b"]}\n\n"
    )


def test_named_events_have_the_name_of_their_table_and_action() -> None:
    change = Change(5, 7, Action.DELETE, '{"id":1}')
    assert change_event(change, POSTS, Row('{"id":1}'), Form(is_named=True)) == (
        b'id: 5\nevent: posts.delete\ndata: {"action":"delete","table":"posts","record":{"id":1}}\n\n'
    )


def test_line_ends_in_the_name_of_a_table_are_blanks_in_that_of_its_events() -> None:
    odd = Table(7, "public", "a\r\nb\nc\r", ("id",), (), row_security=True, trigger=1)
    change = Change(5, 7, Action.CREATE, '{"id":1}')
    assert b"\nevent: a b c.create\n" in change_event(change, odd, Row('{"id":1}'), Form(is_named=True))
