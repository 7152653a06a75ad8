"""Rows are found by keys of each type, whatever the names of columns."""

import pytest
from psycopg import sql

from tests.integration.scenario import OWN, MakeTable, Owner, person
from tests.integration.visibility.conftest import seen


async def test_names_that_would_end_a_quotation_are_names(owner: Owner, make_table: MakeTable) -> None:
    odd = """$body$; ' \\ $source$ $$ %1$s %s " --"""
    name = sql.Identifier(odd).as_string()
    make_table(name, f"{name} int primary key, author text", policy=OWN)
    owner.execute(f"insert into {name} values (1, '1'), (2, '2')".encode())
    assert await seen(odd, [person(1), person(2)]) == [{1: None}, {2: None}]


@pytest.mark.parametrize(
    ("key_type", "value"),
    [
        ("bigint", "9007199254740993"),
        ("integer", "-1"),
        ("uuid", "9e107d9d-372b-4bb8-9a2b-1d3d2f1b0c5a"),
        ("text", 'a "quoted" \\ key\n, é 🙂'),
        ("varchar(10)", "ten chars."),
        ("char(10)", "ten chars."),
        ("char(12)", "ten chars."),
        ("bit(8)", "10101010"),
        ("date", "2026-02-28"),
        ("timestamptz", "2026-02-28 12:00:00.123456+02"),
        ("numeric", "12345678901234567890.0123456789"),
        ("bytea", "\\x00ff"),
        ("boolean", "true"),
        ("double precision", "0.1"),
        ("text[]", '{a,"b c",NULL}'),
        ("jsonb", '{"a": [1, 2.50]}'),
        ("int4range", "[1,5)"),
    ],
)
async def test_key_of_each_type_finds_its_row(owner: Owner, make_table: MakeTable, key_type: str, value: str) -> None:
    make_table("notes", f"id {key_type} primary key, author text", policy=OWN)
    owner.execute(f"insert into notes values (%s::{key_type}, '1')".encode(), [value])
    assert await seen("notes", [person(1), person(2)]) == [{1: None}, {}]


async def test_key_is_compared_as_its_index_does(owner: Owner, make_table: MakeTable) -> None:
    # A site's own operator may match varchar better than the equality of text.
    owner.execute("create schema elsewhere; create type elsewhere.kind as enum ('a', 'b')")
    try:
        make_table("notes", "id varchar(10), kind elsewhere.kind, author text, primary key (id, kind)", policy=OWN)
        owner.execute("insert into notes values ('x', 'a', '1'), ('x', 'b', '1')")
        owner.execute(
            "create function evil(varchar, varchar) returns boolean language plpgsql"
            " as $$ begin raise exception 'for %', current_user; end $$;"
            "create operator public.= (leftarg = varchar, rightarg = varchar, function = evil)"
        )
        assert await seen("notes", [person(1), person(2)]) == [{1: None, 2: None}, {}]
    finally:
        owner.execute("drop function if exists evil cascade; drop schema elsewhere cascade")


async def test_key_without_overlaps_finds_its_row(owner: Owner, make_table: MakeTable) -> None:
    kind = " without overlaps" if owner.info.server_version >= 180000 else ""  # Before, it is an ordinary key.
    make_table("stays", f"room int4range, at int4range, author text, primary key (room, at{kind})", policy=OWN)
    owner.execute("insert into stays values ('[1,1]', '[1,5)', '1'), ('[1,1]', '[5,9)', '2')")
    owner.execute("update stays set at = '[2,5)' where author = '1'")
    assert await seen("stays", [person(1), person(2)]) == [{3: None}, {2: None}]


async def test_composite_key_in_another_order_and_odd_names_find_their_rows(
    owner: Owner, make_table: MakeTable
) -> None:
    columns = (
        '"record" text, "n" int, "k1" int, "a ""b" text, t text, ayb_realtime_row text, '
        'author text, primary key ("a ""b", "k1", "n")'
    )
    make_table('"Odd ""Table"', columns, policy=OWN)
    owner.execute(
        """insert into "Odd ""Table" values ('r', 1, 2, 'x', 't', 'w', '1'), ('r', 2, 2, 'x', 't', 'w', '2')"""
    )
    assert await seen('Odd "Table', [person(1), person(2)]) == [{1: None}, {2: None}]


async def test_name_cannot_end_the_function_that_it_is_written_into(owner: Owner, make_table: MakeTable) -> None:
    name = "$body$ set check_function_bodies = off; select 1 $outer$ ' \\"
    make_table("notes", f'"{name}" int primary key, author text', policy=OWN)
    owner.execute("insert into notes values (1, '1'), (2, '2')")
    assert await seen("notes", [person(1), person(2)]) == [{1: None}, {2: None}]


async def test_key_that_an_inheriting_table_repeats_finds_the_row(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author text", policy=OWN)
    owner.execute("create table child () inherits (notes)")
    try:
        owner.execute("insert into notes values (1, '1'); insert into child values (1, '1')")
        assert await seen("notes", [person(1), person(2)]) == [{1: None}, {}]
    finally:
        owner.execute("drop table child")
