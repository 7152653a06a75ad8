"""Tables with odd names or in other schemas, and tables that are renamed or altered."""

import pytest

from tests.integration.capture.conftest import Logged, log_after, newest_id
from tests.integration.scenario import MakeTable, Owner


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ('"Mixed Case"', '"The Key"'),
        ('"quote "" and \'"', '"a ""b"" \'c\'"'),
        ('"ünï 🦆 % %s"', '"%(x)s \\ ,"'),
        ('"select"', '"old"'),
        ('"new"', '"tg_op"'),
    ],
)
def test_names_that_need_quotes_are_logged(
    owner: Owner, make_table: MakeTable, logged: Logged, table: str, key: str
) -> None:
    make_table(table, f"{key} int primary key, body text")
    name = key[1:-1].replace('""', '"')
    owner.execute(f"insert into {table} values (1, 'x')".encode())
    owner.execute(f"update {table} set body = 'y'".encode())
    owner.execute(f"update {table} set {key} = 2".encode())
    assert logged() == [
        ("create", {name: 1, "body": "x"}),
        ("update", {name: 1, "body": "y"}),
        ("delete", {name: 1, "body": "y"}),
        ("create", {name: 2, "body": "y"}),
    ]


def test_table_of_another_schema_is_logged(owner: Owner, make_table: MakeTable) -> None:
    owner.execute("create schema sales")
    try:
        make_table("sales.orders", "id int primary key")
        last_id = newest_id(owner)
        owner.execute("insert into sales.orders values (1)")
        assert log_after(owner, last_id) == [("sales.orders", "create", '{"id":1}')]
    finally:
        owner.execute("drop schema sales cascade")


def test_renamed_table_is_the_same_table(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    last_id = newest_id(owner)
    owner.execute("insert into notes values (1)")
    owner.execute("alter table notes rename to memos")
    owner.execute("insert into memos values (2)")
    owner.execute("alter table memos rename to notes")
    assert log_after(owner, last_id) == [("notes", "create", '{"id":1}'), ("notes", "create", '{"id":2}')]


def test_generated_column_is_logged_with_its_value(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("lines", "id int primary key, price int, total int generated always as (price * 2) stored")
    owner.execute("insert into lines (id, price) values (1, 10)")
    owner.execute("update lines set price = 20")
    assert logged() == [
        ("create", {"id": 1, "price": 10, "total": 20}),
        ("update", {"id": 1, "price": 20, "total": 40}),
    ]


def test_columns_dropped_and_added_later_are_followed(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "gone text, id int primary key, body text")
    owner.execute("insert into notes values ('x', 1, 'a')")
    owner.execute("alter table notes drop column gone, add column rank int default 7")
    owner.execute("update notes set body = 'b'")
    owner.execute("update notes set id = 2")
    assert logged() == [
        ("create", {"gone": "x", "id": 1, "body": "a"}),
        ("update", {"id": 1, "body": "b", "rank": 7}),
        ("delete", {"id": 1, "body": "b", "rank": 7}),
        ("create", {"id": 2, "body": "b", "rank": 7}),
    ]
