"""No cast to json of the owner of a table or type runs with our rights."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest

from tests.integration.scenario import MakeTable, Owner
from tests.integration.written.conftest import Logged, ran


@pytest.fixture
def mallory(owner: Owner) -> Iterator[Callable[[str], None]]:
    """Runs statements as a role that may create tables and types, and owns the type ``mine`` and its cast to json."""
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
    """Make Mallory the owner of the table."""
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
    logged: Logged,
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
    assert all(value == values[0] for value in values)


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


def test_column_after_one_that_is_dropped_is_seen(
    owner: Owner, make_table: MakeTable, mallory: Callable[[str], None]
) -> None:
    make_table("notes", "id int primary key")
    give(owner, mallory)
    for id_ in (1, 2):  # The second row finds that the table is known.
        mallory(f"insert into notes values ({id_})")
    mallory(CAST)
    with owner.transaction():
        for change in ("add column a int", "drop column a", "add column b mine default 'x'"):
            mallory(f"alter table notes {change}")
        owner.execute("insert into notes (id) values (3)")
    assert not ran(owner)
