"""Rows become JSON without the casts to json that users have made: none fails, and none runs with our rights."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from channels.layers import BaseChannelLayer

from ayb_realtime.hub.hub import Hub
from tests.integration.conftest import number
from tests.integration.scenario import MakeTable, Owner, Stream, open_stream, person, relaying
from tests.integration.visibility.conftest import would_see

LOGGED = (
    "select action, record::text from ayb_realtime.change where relation = 'notes'::regclass and id > %s order by id"
)
NEWEST = "select coalesce(max(id), 0) from ayb_realtime.change"

BODIES = {
    "raises": "begin perform nextval('public.ran'); raise 'no'; end",
    "writes JSON": "begin perform nextval('public.ran'); return '{\"a\":1}'; end",
}
WRITTEN = {
    "place": ("'in'", "in"),
    "place[]": ("'{in,null}'", ["in", None]),
    "held": ("row(1, 'in')", "(1,in)"),
    "held[]": ("array[row(1, 'in')::held]", ["(1,in)"]),
    "held_twice": ("row(row(1, 'in'), null)", '("(1,in)",)'),
    "placed": ("'in'", "in"),
    "span": ("'[1,2)'", "[1,2)"),
}


@pytest.fixture
def types(owner: Owner) -> Iterator[None]:
    """Types of each kind around one that has a cast to json, and a sequence that says whether the cast ran."""
    owner.execute(
        """
        create sequence if not exists ran;
        grant usage on ran to public;
        create type place as enum ('in', 'out');
        create type held as (n int, place place);
        create type held_twice as (held held, other text);
        create domain placed as place;
        create type span as range (subtype = float8);
        """
    )
    yield
    owner.execute("drop type if exists place, held, held_twice, span cascade; drop sequence if exists ran")


def make_cast(owner: Owner, body: str) -> None:
    """Make casts to json with this body."""
    for kind in ("place", "span"):
        owner.execute(
            f"create function {kind}_to_json({kind}) returns json language plpgsql as $$ {body} $$;"
            f" create cast ({kind} as json) with function {kind}_to_json({kind})".encode()
        )


def ran(owner: Owner) -> bool:
    """Return whether a cast has run."""
    row = owner.execute("select is_called from ran").fetchone()
    return row is not None and row[0]


@pytest.fixture
def logged(owner: Owner) -> Callable[[], list[tuple[str, Any]]]:
    """Return what has been logged of the table ``notes`` since the last call."""
    last = list(owner.execute(NEWEST).fetchone() or [0])

    def read() -> list[tuple[str, Any]]:
        rows = owner.execute(LOGGED, last).fetchall()
        last[:] = owner.execute(NEWEST).fetchone() or [0]
        return [(action, record and json.loads(record)) for action, record in rows if action != "enable"]

    return read


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize("body", ["raises", "writes JSON"])
@pytest.mark.parametrize("kind", list(WRITTEN))
def test_value_with_a_cast_to_json_is_written_as_text(
    owner: Owner, make_table: MakeTable, logged: Callable[[], list[tuple[str, Any]]], kind: str, body: str
) -> None:
    literal, text = WRITTEN[kind]
    make_table("notes", f'id int primary key, "a ""value""" {kind}, tags text[], doc json')
    make_cast(owner, BODIES[body])
    owner.execute(f"insert into notes values (1, {literal}, '{{x}}', '{{\"b\": 1}}'), (2, null, null, null)".encode())
    owner.execute("update notes set id = id where id = 1")
    owner.execute("update notes set id = 3 where id = 1")
    owner.execute("delete from notes where id = 2")
    first, second = (
        {"id": n, 'a "value"': v, "tags": t, "doc": d}
        for n, v, t, d in [(1, text, ["x"], {"b": 1}), (2, None, None, None)]
    )
    assert logged() == [
        ("create", first),
        ("create", second),
        ("update", first),
        ("delete", first),
        ("create", {**first, "id": 3}),
        ("delete", second),
    ]
    assert not ran(owner)


@pytest.mark.usefixtures("types")
def test_null_in_an_array_with_a_cast_to_json_is_one_whatever_the_writer_has_set(
    owner: Owner, make_table: MakeTable, logged: Callable[[], list[tuple[str, Any]]]
) -> None:
    make_table("notes", "id int primary key, a place[]")
    make_cast(owner, BODIES["raises"])
    owner.execute("set array_nulls = off; insert into notes values (1, array['in', null]::place[])")
    assert logged() == [("create", {"id": 1, "a": ["in", None]})]


@pytest.mark.usefixtures("types")
def test_key_with_a_cast_to_json_is_compared_as_text(
    owner: Owner, make_table: MakeTable, logged: Callable[[], list[tuple[str, Any]]]
) -> None:
    make_table("notes", "id place primary key, n int")
    make_cast(owner, BODIES["writes JSON"])
    owner.execute("insert into notes values ('in', 1)")
    owner.execute("update notes set n = 2")
    owner.execute("update notes set id = 'out'")
    assert logged() == [
        ("create", {"id": "in", "n": 1}),
        ("update", {"id": "in", "n": 2}),
        ("delete", {"id": "in", "n": 2}),
        ("create", {"id": "out", "n": 2}),
    ]


@pytest.mark.usefixtures("types")
def test_type_without_a_cast_to_json_is_written_as_it_is(
    owner: Owner, make_table: MakeTable, logged: Callable[[], list[tuple[str, Any]]]
) -> None:
    make_table("notes", "id int primary key, a held, b place[], c span[], d placed")
    owner.execute("insert into notes values (1, row(1, 'in'), '{in}', array['[1,2)'::span], 'out')")
    expected = {"id": 1, "a": {"n": 1, "place": "in"}, "b": ["in"], "c": ["[1,2)"], "d": "out"}
    assert logged() == [("create", expected)]


@pytest.fixture
def mallory(owner: Owner) -> Iterator[Callable[[str], None]]:
    """A role that may make tables and types, and acts: it owns the type ``mine``, and its cast to json."""
    name = f"mallory_{uuid4().hex}"
    owner.execute(
        f"""
        create sequence if not exists ran; grant usage on ran to public;
        create role {name}; grant {name} to current_user;
        create schema authorization {name};
        grant create on schema public to {name};
        """.encode()
    )

    def act(statement: str) -> None:
        owner.execute(f"set role {name}".encode())
        try:
            owner.execute(statement.replace("MALLORY", name).encode())
        finally:
            owner.execute("reset role")

    act("create type mine as enum ('x'); create type holds as (mine mine)")
    yield act
    owner.execute(f"drop owned by {name} cascade; drop role {name}; drop sequence if exists ran".encode())


CAST = """
create function to_json(mine) returns json language plpgsql as $$ begin
    perform nextval('public.ran'); return to_json(current_user::text); end $$;
create cast (mine as json) with function to_json(mine)
"""


def give(owner: Owner, act: Callable[[str], None]) -> None:
    """Give the table to Mallory, who has a role of its own."""
    act("create table named (); alter table named rename to named_before")
    row = owner.execute("select relowner::regrole::text from pg_class where relname = 'named_before'").fetchone()
    assert row is not None
    owner.execute(f"alter table notes owner to {row[0]}".encode())


@pytest.mark.parametrize("kind", ["mine", "mine[]", "holds", "holds[]"])
def test_owner_of_a_table_does_not_get_our_rights_by_a_cast(
    owner: Owner, make_table: MakeTable, mallory: Callable[[str], None], kind: str
) -> None:
    make_table("notes", "id int primary key")
    give(owner, mallory)
    owner.execute("insert into notes values (1)")
    mallory(f"alter table notes add column a {kind}")
    mallory(CAST)
    values = {"mine": "'x'", "mine[]": "'{x}'", "holds": "row('x')", "holds[]": "array[row('x')::holds]"}
    mallory(f"insert into notes values (2, {values[kind]}); update notes set id = 3 where id = 2; delete from notes")
    assert not ran(owner)


def test_old_snapshot_does_not_hide_a_new_column_or_type(
    owner: Owner, database_url: str, make_table: MakeTable, mallory: Callable[[str], None]
) -> None:
    make_table("notes", "id int primary key, a text")
    give(owner, mallory)
    mallory(CAST)
    for change in (
        "alter table notes add column b mine default 'x'",
        "alter table notes alter column a type mine using 'x'",
    ):
        with psycopg.connect(database_url) as late:
            late.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            late.execute("select count(*) from pg_cast")
            mallory(change)
            late.execute("insert into notes (id) values (1)")
            late.execute("update notes set id = 2")
            late.execute("delete from notes")
    assert not ran(owner)


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize(
    ("kind", "literal"),
    [
        ("place", "'in'"),
        ("placed", "'in'"),
        ("place[]", "'{in,null}'"),
        ("placed[]", "'{in}'"),
        ("span", "'[1,2)'"),
        ("held", "row(1, 'in')"),
    ],
)
def test_type_that_is_given_away_does_not_give_our_rights(
    owner: Owner,
    database_url: str,
    make_table: MakeTable,
    mallory: Callable[[str], None],
    logged: Callable[[], list[tuple[str, Any]]],
    kind: str,
    literal: str,
) -> None:
    make_table("notes", f"id int primary key, a {kind}")
    write = f"insert into notes values (%s, {literal})".encode()
    for n in range(2):
        owner.execute(write, [n])
    mallory("create table named (); alter table named rename to named_before")
    row = owner.execute("select relowner::regrole::text from pg_class where relname = 'named_before'").fetchone()
    assert row is not None
    with psycopg.connect(database_url) as late:
        late.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        late.execute("select count(*) from pg_cast")
        for given in ("place", "span"):
            owner.execute(f"alter type {given} owner to {row[0]}".encode())
            mallory(CAST.replace("(mine", f"({given}"))
        late.execute(write, [2])
    owner.execute(write, [3])
    assert not ran(owner)
    values = [(action, record["a"]) for action, record in logged()]
    assert len(values) == 4
    assert all(value == values[0] for value in values) or kind == "held"


def test_column_that_was_dropped_for_a_moment_is_seen_again(
    owner: Owner, make_table: MakeTable, mallory: Callable[[str], None]
) -> None:
    make_table("notes", "id int primary key")
    give(owner, mallory)
    mallory("alter table notes add column a mine default 'x'")
    mallory(CAST)
    for change in ("alter table notes drop column a", "alter table notes alter column a type text using 'x'"):
        with owner.transaction(force_rollback=True):
            mallory(change)
            owner.execute("insert into notes (id) values (1)")
        mallory("insert into notes (id) values (1)")
        mallory("delete from notes")
    with owner.transaction(force_rollback=True):
        mallory("alter table notes drop column a, add column b int")
        owner.execute("insert into notes (id) values (1)")
    mallory("alter table notes drop column a, add column b mine default 'x'; insert into notes (id) values (1)")
    assert not ran(owner)


@pytest_asyncio.fixture
async def relay(memory_layer: BaseChannelLayer, the_hub: Hub) -> AsyncIterator[None]:
    """A relay, for the length of the test."""
    async with relaying(memory_layer):
        yield


async def told(stream: Stream) -> tuple[str, Any]:
    """Return the next change's action and record."""
    change = await stream.next_change()
    return change["action"], change["record"]


@pytest.mark.usefixtures("types", "relay")
@pytest.mark.parametrize("kind", list(WRITTEN))
async def test_subscriber_is_told_the_text_whenever_the_cast_was_made(
    the_hub: Hub, owner: Owner, make_table: MakeTable, kind: str
) -> None:
    literal, text = WRITTEN[kind]
    make_table("notes", f"id int primary key, a {kind}, hidden int", policy="id > 0")
    stream = await open_stream(the_hub, person(1), "notes")
    owner.execute("insert into notes values (1)")
    assert await told(stream) == ("create", {"id": 1, "a": None, "hidden": None})
    make_cast(owner, BODIES["raises"])
    owner.execute(f"insert into notes values (2, {literal})".encode())
    assert await told(stream) == ("create", {"id": 2, "a": text, "hidden": None})
    owner.execute("revoke select on notes from ayb_authenticated; grant select (id, a) on notes to ayb_authenticated")
    owner.execute("update notes set hidden = 1 where id = 2")
    assert await told(stream) == ("update", {"id": 2, "a": text})
    assert not ran(owner)


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize("kind", list(WRITTEN))
async def test_row_with_a_cast_to_json_is_read_back_as_it_was(owner: Owner, make_table: MakeTable, kind: str) -> None:
    make_table("notes", f"id int primary key, a {kind}", policy="a::text like '%1%' or a::text like '%in%'")
    make_cast(owner, BODIES["raises"])
    owner.execute(f"insert into notes values (1, {WRITTEN[kind][0]}), (2, null)".encode())
    assert (await would_see(owner, "notes"))[0] == [{1}] * 4
    assert not ran(owner)


def test_row_that_is_nested_too_deeply_to_be_taken_apart_stops_neither_its_writer_nor_the_numbering(
    owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key, a json")
    nested = "(repeat('[', %s) || repeat(']', %s))::json"
    depth, step = 0, 1 << 16
    while step := step // 2:  # the deepest that this session's stack allows
        try:
            owner.execute(f"select {nested}".encode(), [depth + step] * 2)
            depth += step
        except psycopg.errors.StatementTooComplex:
            pass
    last = owner.execute(NEWEST).fetchone() or [0]
    for less in range(0, depth // 40, 10):
        try:
            owner.execute(f"insert into notes select 1, {nested}".encode(), [depth - less] * 2)
        except psycopg.errors.StatementTooComplex:
            continue
        owner.execute("update notes set a = a; delete from notes")
    actions = {action for action, _ in owner.execute(LOGGED, last).fetchall()}
    assert actions == {"create", "update", "delete", "truncate"}
    number(owner)
    behind = (
        "select count(*) from ayb_realtime.change where xid >="
        " (select pg_snapshot_xmax(snapshot) from ayb_realtime.batch order by id desc limit 1)"
    )
    assert owner.execute(behind).fetchone() == (0,)


def test_key_is_found_among_escapes_of_each_kind(
    owner: Owner, make_table: MakeTable, logged: Callable[[], list[tuple[str, Any]]]
) -> None:
    make_table("notes", "id text primary key, a json, b text")
    keys = ["\x01", "\\u0001", "\\", "\\\\u", "a\\u0000", "\x1f\\", '"\\u"']
    for value in (r'"\u0000"', r'{"\\u0000": "\\\u0000\ud800"}', r'"A\\"'):
        for key in keys:
            owner.execute("insert into notes values (%s, %s, %s)", [key, value, "\x01\\u"])
        owner.execute("update notes set b = '\\'")
        owner.execute("update notes set id = id || 'x'")
        assert [action for action, _ in logged()] == [
            *["create"] * len(keys),
            *["update"] * len(keys),
            *["delete", "create"] * len(keys),
        ]
        owner.execute("delete from notes")
        logged()
