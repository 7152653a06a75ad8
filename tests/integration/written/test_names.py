"""A row is logged under the present names of its columns, whatever was altered."""

from typing import Any

import psycopg
import pytest

from tests.integration.scenario import MakeTable, Owner
from tests.integration.written.conftest import SHADOW, Logged

SWAPPED = "alter {0} rename {1} a to c; alter {0} rename {1} b to a; alter {0} rename {1} c to b"
ALTERED: dict[str, tuple[str, str, dict[str, Any]]] = {
    # What is altered, the row that is then written, and how it is logged.
    "renamed": ("alter table notes rename a to c", "(2, 'in', 'x')", {"c": "in", "b": "x"}),
    "swapped": (SWAPPED.format("table notes", "column"), "(2, 'in', 'x')", {"b": "in", "a": "x"}),
    "dropped": ("alter table notes drop column b", "(2, 'in')", {"a": "in"}),
    "added": ("alter table notes add column c place[]", "(2, 'in', 'x', '{in}')", {"a": "in", "b": "x", "c": ["in"]}),
    "of another type": (
        "alter table notes alter a type int using 1, alter b type place using null",
        "(2, 7, 'out')",
        {"a": 7, "b": "out"},
    ),
    "of a type that is written otherwise, in the same file": (
        "alter table notes drop column b, add column b int default 1",
        "(2, 'in', 7)",
        {"a": "in", "b": 7},
    ),
}
PAIR_ALTERED = {
    "renamed": ("alter type pair rename attribute a to c", "('in', 'x')", {"c": "in", "b": "x"}),
    "swapped": (SWAPPED.format("type pair", "attribute"), "('in', 'x')", {"b": "in", "a": "x"}),
    "added": ("alter type pair add attribute c place", "('in', 'x', 'out')", {"a": "in", "b": "x", "c": "out"}),
    "dropped": ("alter type pair drop attribute a", "row('x')::pair", {"b": "x"}),
    "dropped and added": (
        "alter type pair drop attribute a, add attribute c text",
        "('x', 'y')",
        {"b": "x", "c": "y"},
    ),
}


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
@pytest.mark.parametrize("change", list(ALTERED))
def test_altered_table_is_logged_under_the_names_that_it_has(
    owner: Owner,
    database_url: str,
    make_table: MakeTable,
    logged: Logged,
    change: str,
    isolation: str,
) -> None:
    alter, row, expected = ALTERED[change]
    make_table("notes", "id int primary key, a place, b text")
    owner.execute("insert into notes values (1, 'in', 'x')")
    write_altered(owner, database_url, alter, f"insert into notes values {row}", isolation)
    (_, *late), (_, after) = logged()[1:]
    assert after == {"id": 2, **expected}
    assert late == [after] or (late == [None] and isolation == "repeatable read")  # a truncate


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
@pytest.mark.parametrize("column", ["pair[]", "outer_domain"])
@pytest.mark.parametrize("change", list(PAIR_ALTERED))
def test_altered_composite_is_logged_under_the_names_that_it_has(
    owner: Owner,
    database_url: str,
    make_table: MakeTable,
    logged: Logged,
    change: str,
    column: str,
    isolation: str,
) -> None:
    alter, value, expected = PAIR_ALTERED[change]
    owner.execute("create type pair as (a place, b text); create type outer_pair as (pair pair)")
    owner.execute("create domain outer_domain as outer_pair")
    forms: dict[str, tuple[str, Any]] = {
        "pair[]": ("array[%s::pair]", [expected]),
        "outer_domain": ("row(%s::pair)", {"pair": expected}),
    }
    form, record = forms[column]
    try:
        make_table("notes", f"id int primary key, pair {column}")
        owner.execute("insert into notes values (1)")
        write_altered(owner, database_url, alter, f"insert into notes values (2, {form % value})", isolation)
        (_, *late), (_, after) = logged()[1:]
        assert after == {"id": 2, "pair": record}
        assert late == [after] or (late == [None] and isolation == "repeatable read")
    finally:
        owner.execute("drop type pair, outer_pair cascade")


def write_altered(owner: Owner, database_url: str, alter: str, write: str, isolation: str) -> None:
    """Alter and write, in a session that knew the table, perhaps in an older transaction; then in another session."""
    with psycopg.connect(database_url) as late:
        late.execute("insert into notes values (0)")
        late.rollback()
        late.execute(f"set transaction isolation level {isolation}".encode())
        late.execute("select count(*) from pg_cast")
        owner.execute(alter.encode())
        late.execute(write.encode())
        late.commit()
    owner.execute("delete from notes")
    owner.execute("delete from ayb_realtime.change where action = 'delete'")
    owner.execute(write.encode())


@pytest.mark.usefixtures("types")
def test_names_that_were_swapped_and_rolled_back_are_those_of_before(
    owner: Owner, make_table: MakeTable, logged: Logged
) -> None:
    make_table("notes", "id int primary key, a place, b text")
    with owner.transaction():
        owner.execute("insert into notes values (1, 'in', 'x')")
        with owner.transaction(force_rollback=True):
            owner.execute(SWAPPED.format("table notes", "column").encode())
            owner.execute("insert into notes values (2, 'in', 'x')")
        owner.execute("insert into notes values (3, 'in', 'x')")
        owner.execute(SWAPPED.format("table notes", "column").encode())
        owner.execute("insert into notes values (4, 'in', 'x')")
    assert [record for _, record in logged()] == [
        {"id": 1, "a": "in", "b": "x"},
        {"id": 3, "a": "in", "b": "x"},
        {"id": 4, "b": "in", "a": "x"},
    ]


def looked(owner: Owner, row: str) -> bool:
    """Write a row to ``notes``; return whether capture had to look at the table."""
    owner.execute("delete from ayb_realtime.layout where relation = 'notes'::regclass")
    owner.execute(f"insert into notes values {row}".encode())
    return owner.execute("select from ayb_realtime.layout where relation = 'notes'::regclass").rowcount == 1


def until_remembered(owner: Owner) -> None:
    """Write until no older transaction is running, such as one of autovacuum."""
    assert any(not looked(owner, f"({n}, 'in', 'x')") for n in range(10, 10_000))


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize(
    ("change", "record"),
    [
        (SWAPPED.format("table notes", "column"), {"id": 2, "b": "in", "a": "x"}),
        ("alter table notes add c int", {"id": 2, "a": "in", "b": "x", "c": None}),
        ("drop type SHADOW", {"id": 2, "a": "in", "b": "x"}),
    ],
)
def test_shadow_is_remembered_until_the_table_or_the_shadow_is_another(
    owner: Owner, make_table: MakeTable, logged: Logged, change: str, record: dict[str, Any]
) -> None:
    make_table("notes", "id int primary key, a place, b text")
    owner.execute("insert into notes values (1, 'in', 'x')")
    ((shadow,),) = owner.execute(SHADOW).fetchall()
    until_remembered(owner)
    logged()
    owner.execute(change.replace("SHADOW", shadow).encode())
    assert looked(owner, "(2, 'in', 'x')")
    assert logged() == [("create", record)]


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize("kind", ["place", "text"])
def test_table_that_was_written_by_the_transaction_that_created_it_is_remembered_later(
    owner: Owner, make_table: MakeTable, kind: str
) -> None:
    with owner.transaction():
        make_table("notes", f"id int primary key, a {kind}, b text", enable=False)
        owner.execute("select ayb_realtime.enable_v1('notes'::regclass)")
        owner.execute("insert into notes values (0, 'in', 'x')")
    new = "select from ayb_realtime.layout where relation = 'notes'::regclass and not is_settled"
    for n in range(10, 1000):
        owner.execute("select ayb_realtime.announce_altered_v1()")
        owner.execute(f"insert into notes values ({n}, 'in', 'x')".encode())
        if owner.execute(new.encode()).rowcount == 0:
            break
    assert not looked(owner, "(1, 'in', 'x')")
