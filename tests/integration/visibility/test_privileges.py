"""An event needs exactly the privileges that the subscriber's own SELECT needs."""

from collections.abc import Iterator
from typing import Any

import pytest

from ayb_realtime.identity import AUTHENTICATED_ROLE
from tests.integration.scenario import Owner, World, person


@pytest.fixture
def aside(owner: Owner) -> Iterator[str]:
    """A schema that the subscribers' role may not use."""
    owner.execute("create schema aside")
    yield "aside"
    owner.execute("drop schema aside cascade")


# How to create the type of a key in that schema, and two values of it.
KEYS = {
    "enum": ("create type aside.key as enum ('a', 'b')", "'a'", "'b'"),
    "domain": ("create domain aside.key as text check (value <> '')", "'a'", "'b'"),
    "domain over a domain": ("create domain aside.id as int; create domain aside.key as aside.id", "1", "2"),
    "range": ("create type aside.key as range (subtype = int4)", "'[1,3)'", "'[2,7)'"),
    "composite": ("create type aside.key as (a int, b text)", "(1, 'a b')", "(2, '')"),
    "domain over an array": ("create domain aside.key as int[]", "'{1,2}'", "'{3}'"),
    "extension": ("create extension citext schema aside; create domain aside.key as aside.citext", "'a'", "'b'"),
}
ARRAYS = {"array of enums": ("create type aside.mood as enum ('a', 'b')", "aside.mood[]", "'{a,b}'", "'{b}'")}


@pytest.mark.parametrize("kind", [*KEYS, *ARRAYS])
async def test_row_that_select_finds_comes_whatever_the_schema_of_its_key(world: World, aside: str, kind: str) -> None:
    make, key, *values = ARRAYS[kind] if kind in ARRAYS else (KEYS[kind][0], "aside.key", *KEYS[kind][1:])
    world.write(make)
    world.table(
        "notes", f"id {key} primary key, author text, body text", policy="author = current_setting('ayb.user_id')"
    )
    async with world.relaying():
        stream = await world.stream(person("alice"), "notes")
        for value in values:
            world.write(f"insert into notes values ({value}, 'alice', 'hers')")
        world.write("update notes set author = 'bob', body = 'his'")
        world.write("update notes set author = 'alice', body = 'hers again'")
        found = world.write("select row_to_json(n) from notes n order by id").fetchall()
        seen: list[Any] = []
        while len(seen) < len(found):
            change = await stream.next_change()
            assert change["record"]["author"] == "alice"
            if change["record"]["body"] == "hers again":
                seen.append(change["record"])
        assert seen == [row for (row,) in found]


async def test_schema_that_may_not_be_used_any_more_sends_nothing(world: World, aside: str) -> None:
    world.table("others", "id int primary key")
    world.table("aside.notes", "id int primary key")
    async with world.relaying():
        stream = await world.stream(person("alice"), "notes", "others")
        world.write("insert into aside.notes values (1)")
        assert (await stream.next_change())["table"] == "notes"
        world.write(f"revoke usage on schema aside from {AUTHENTICATED_ROLE}")
        world.write("insert into aside.notes values (2)")
        world.write("delete from aside.notes")
        world.write("truncate aside.notes")
        world.write("insert into others values (1)")
        # Not even deletes or truncates are sent.
        assert (await stream.next_change())["table"] == "others"
        world.write(f"grant usage on schema aside to {AUTHENTICATED_ROLE}")
        world.write("insert into aside.notes values (3)")
        assert (await stream.next_change())["record"] == {"id": 3}
