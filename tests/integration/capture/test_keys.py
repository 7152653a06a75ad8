"""Keys that change, are renamed or are lost."""

import json
from typing import Any

import pytest
from psycopg import sql

from tests.integration.capture.conftest import Logged
from tests.integration.scenario import MakeTable, Owner


def test_new_primary_key_is_a_new_row(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    owner.execute("insert into notes values (1, 'old')")
    logged()
    owner.execute("update notes set id = 2, body = 'new'")
    assert logged() == [("delete", {"id": 1, "body": "old"}), ("create", {"id": 2, "body": "new"})]


@pytest.mark.parametrize(
    ("columns", "before", "after"),
    [
        ("size int, id int primary key", {"size": 1, "id": 1}, {"size": 1, "id": 2}),
        ("id text primary key, size int", {"id": "1,2", "size": 1}, {"id": "1,3", "size": 1}),
        ("id text primary key, size int", {"id": ",1", "size": 1}, {"id": ",2", "size": 1}),
        ("id int[] primary key, size int", {"id": [1, 2], "size": 1}, {"id": [1, 3], "size": 1}),
        ('"1,id" int primary key, size int', {"1,id": 1, "size": 1}, {"1,id": 2, "size": 1}),
        ('"a""" int, "a\\""" int primary key', {'a"': 1, 'a\\"': 1}, {'a"': 1, 'a\\"': 2}),
    ],
)
def test_new_key_of_a_row_that_begins_alike_is_a_new_row(
    owner: Owner, make_table: MakeTable, logged: Logged, columns: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    make_table("notes", columns)
    values = "select * from json_populate_record(null::notes, %s)"
    owner.execute(f"insert into notes {values}".encode(), [json.dumps(before)])
    logged()
    names = ", ".join(sql.Identifier(name).as_string() for name in before)
    owner.execute(f"update notes set ({names}) = ({values})".encode(), [json.dumps(after)])
    assert logged() == [("delete", before), ("create", after)]


@pytest.mark.parametrize("changed", [{"number": 2}, {"hall": "b"}, {"number": 2, "hall": "b"}])
def test_change_of_any_part_of_a_composite_key_is_a_new_row(
    owner: Owner, make_table: MakeTable, logged: Logged, changed: dict[str, Any]
) -> None:
    make_table("seats", "body text, hall text, number int, primary key (number, hall)")
    owner.execute("insert into seats values ('x', 'a', 1)")
    owner.execute("update seats set body = 'y'")
    first, second = {"body": "x", "hall": "a", "number": 1}, {"body": "y", "hall": "a", "number": 1}
    third = {**second, **changed}
    owner.execute("update seats set hall = %(hall)s, number = %(number)s", third)
    assert logged() == [("create", first), ("update", second), ("delete", second), ("create", third)]


def test_renamed_key_column_is_still_the_key(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    owner.execute("insert into notes values (1, 'x')")
    owner.execute("alter table notes rename id to number")
    logged()
    owner.execute("update notes set body = 'y'")
    owner.execute("update notes set number = 2")
    assert logged() == [
        ("update", {"number": 1, "body": "y"}),
        ("delete", {"number": 1, "body": "y"}),
        ("create", {"number": 2, "body": "y"}),
    ]


def test_renamed_part_of_a_key_does_not_hide_that_the_other_part_changed(
    owner: Owner, make_table: MakeTable, logged: Logged
) -> None:
    make_table("seats", "hall text, number int, primary key (hall, number)")
    owner.execute("insert into seats values ('a', 1)")
    owner.execute("alter table seats rename number to seat")
    logged()
    owner.execute("update seats set hall = 'b'")
    assert logged() == [("delete", {"hall": "a", "seat": 1}), ("create", {"hall": "b", "seat": 1})]


def test_column_that_is_no_longer_of_the_key_may_change(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("seats", "hall text, number int, id int, primary key (hall, number)")
    owner.execute("insert into seats values ('a', 1, 7)")
    owner.execute("alter table seats drop column number, add primary key (id)")
    logged()
    owner.execute("update seats set hall = 'b'")
    assert logged() == [("update", {"hall": "b", "id": 7})]


def test_table_that_has_lost_its_key_can_still_be_written(owner: Owner, make_table: MakeTable, logged: Logged) -> None:
    make_table("notes", "id int primary key, body text")
    owner.execute("insert into notes values (1, 'x')")
    owner.execute("alter table notes drop constraint notes_pkey, alter id drop not null")
    owner.execute("update notes set id = null")
    assert logged() == [("create", {"id": 1, "body": "x"}), ("update", {"id": None, "body": "x"})]
