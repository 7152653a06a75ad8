"""The fingerprint of what decides who sees a table's rows: it changes with that, and with no other usual change."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
import pytest

from ayb_realtime.identity import AUTHENTICATED_ROLE

Owner = psycopg.Connection[Any]

MAKE = f"""
create role ayb_test_crew;
create type mood as enum ('sad', 'glad');
create domain short as text check (length(value) < 9);
create schema asked;
create type pair as (a int, mood mood);
create table members (note int);
grant select on members to {AUTHENTICATED_ROLE};
create view open_notes as select 1 as id;
create function is_mine(id int) returns boolean language sql stable as 'select id = 1';
create function is_member(id int) returns boolean language sql stable as 'select id in (select note from members)';
create function may_use(id int) returns boolean language sql stable
    as 'select has_schema_privilege(''asked'', ''usage'')';
create view permitted as select 1 as id where has_schema_privilege('asked', 'usage');
create function asks(id int) returns boolean language plpgsql stable
    as 'declare yes boolean; begin execute ''select true'' into yes; return yes; end';
create table notes (id int primary key, body text, mood mood, pairs pair[]);
"""
OWN = "body = current_setting('ayb.user_id')"
MEMBER = "exists (select from members m where m.note = notes.id)"
VIEW = "exists (select from open_notes o where o.id = notes.id)"
RULE = 'create or replace rule "_RETURN" as on select to open_notes do instead select 2 as id'
GRANT_ASKED = "grant usage on schema asked to ayb_test_crew"
# Of each: the policy, and what changes.
DECIDES = {
    "name": (OWN, "alter table notes rename to others"),
    "switch": (OWN, "alter table notes disable row level security"),
    "table granted": (OWN, "grant select on notes to ayb_test_crew"),
    "column granted": (OWN, "grant select (body) on notes to ayb_test_crew"),
    "column dropped": (OWN, "alter table notes drop column mood"),
    "policy": (OWN, "alter policy p on notes using (true)"),
    "another policy": (OWN, "create policy q on notes using (true)"),
    "trigger": (OWN, 'alter table notes disable trigger "!ayb_realtime"'),
    "schema": (OWN, "grant usage on schema public to ayb_test_crew"),
    "membership": (OWN, f"grant ayb_test_crew to {AUTHENTICATED_ROLE}"),
    "role": (OWN, f"alter role {AUTHENTICATED_ROLE} noinherit"),
    "composite type": (OWN, "alter type pair rename attribute a to b"),
    "key": (OWN, "alter table notes drop constraint notes_pkey, add primary key (id)"),
    "table that it reads": (MEMBER, "grant select on members to ayb_test_crew"),
    "column of a table that it reads": (MEMBER, "grant select (note) on members to ayb_test_crew"),
    "policy of a table that it reads": (MEMBER, "create policy m on members using (false)"),
    "view that it reads": (VIEW, RULE),
    "function": ("is_mine(id)", "revoke execute on function is_mine(int) from public"),
    "table of a function": ("is_member(id)", "grant select on members to ayb_test_crew"),
    "table with a word of a function": ("is_member(id)", "create schema aside; create table aside.members (note int)"),
    "function with a word of a function": ("is_member(id)", "create function members() returns int return 1"),
    "label of an enum in a column": ("mood::text = 'glad'", "alter type mood rename value 'sad' to 'blue'"),
    "label of an enum that it names": ("body = 'glad'::mood::text", "alter type mood rename value 'sad' to 'blue'"),
    "constraint of a domain": ("body::short <> ''", "alter domain short drop constraint short_check"),
    "privilege that it asks for": ("has_schema_privilege('asked', 'usage')", GRANT_ASKED),
    "privilege that a function asks for": ("may_use(id)", GRANT_ASKED),
    "privilege that a view asks for": ("exists (select from permitted p where p.id = notes.id)", GRANT_ASKED),
    "membership of any role": ("pg_has_role(body, 'ayb_test_crew', 'usage')", "grant ayb_test_crew to pg_monitor"),
    "SQL as text": ("query_to_xml('select 1', true, true, '') is null", GRANT_ASKED),
    "any table": ("asks(id)", "grant select on members to ayb_test_crew"),
    "any column": ("asks(id)", "grant select (note) on members to ayb_test_crew"),
    "any policy": ("asks(id)", "create policy m on members using (false)"),
    "any view": ("asks(id)", RULE),
    "any function": ("asks(id)", "create or replace function is_mine(id int) returns boolean language sql return true"),
    "any schema": ("asks(id)", "create schema aside"),
    "any type": ("asks(id)", "alter type mood rename to feeling"),
    "any cast": ("asks(id)", "create cast (mood as json) with inout"),
    "any operator": ("asks(id)", "create operator === (leftarg = int, rightarg = int, function = int4eq)"),
    "any membership": ("asks(id)", f"grant ayb_test_crew to {AUTHENTICATED_ROLE}"),
    "any role": ("asks(id)", "alter role ayb_test_crew noinherit"),
    "any table's trigger": ("asks(id)", 'alter table notes disable trigger "!ayb_realtime"'),
    "any table's key": ("asks(id)", "alter table notes drop constraint notes_pkey, add primary key (id)"),
}


OWN_OBJECTS = """
create temp table temporary (id int primary key, mood int);
create temp view temporary_view as select 1 as id;
create function pg_temp.temporary_function() returns int language sql as 'select 1';
create type pg_temp.temporary_type as enum ('a');
"""


@pytest.fixture(params=[OWN, MEMBER, VIEW, "is_mine(id)", "is_member(id)", "asks(id)"])
def policy(request: pytest.FixtureRequest) -> str:
    """Each of the policies in turn."""
    return str(request.param)


@contextmanager
def made(owner: Owner, policy: str) -> Iterator[str]:
    """Create a streamed table with this policy, and all that policies read, for a block. Yields its deciders."""
    with owner.transaction(force_rollback=True):
        owner.execute(MAKE.encode())
        owner.execute(f"create policy p on notes using ({policy})".encode())
        owner.execute("alter table notes enable row level security; select ayb_realtime.enable_v1('notes')")
        roles = [AUTHENTICATED_ROLE, "ayb_test_crew"]
        yield one(owner, "select ayb_realtime.deciders_v1('notes'::regclass, %s)", roles)


def one(owner: Owner, query: LiteralString, parameter: object) -> str:
    """Return the text that a query returns."""
    ((value,),) = owner.execute(query, [parameter]).fetchall()
    return str(value)


def fingerprint(owner: Owner, deciders: str) -> str:
    return one(owner, "select ayb_realtime.fingerprint_v1(%s)", deciders)


@pytest.mark.parametrize("case", DECIDES)
def test_what_decides_changes_the_fingerprint(owner: Owner, case: str) -> None:
    policy, change = DECIDES[case]
    with made(owner, policy) as deciders:
        before = fingerprint(owner, deciders)
        with owner.transaction():  # A savepoint: rows changed in it have another xmin.
            owner.execute(change.encode())
        assert fingerprint(owner, deciders) != before


def test_key_that_a_table_comes_by_changes_the_fingerprint(owner: Owner) -> None:
    with made(owner, OWN):
        owner.execute("alter table notes drop constraint notes_pkey; create unique index notes_id on notes (id)")
        deciders = one(owner, "select ayb_realtime.deciders_v1('notes'::regclass, %s)", [AUTHENTICATED_ROLE])
        before = fingerprint(owner, deciders)
        with owner.transaction():
            owner.execute("alter table notes add constraint notes_id primary key using index notes_id")
        assert fingerprint(owner, deciders) != before


def test_what_does_not_decide_leaves_the_fingerprint(owner: Owner, policy: str, database_url: str) -> None:
    with made(owner, policy) as deciders, psycopg.connect(database_url, autocommit=True) as other:
        before = fingerprint(owner, deciders)
        # A temporary table of another session, which no other can read.
        other.execute(OWN_OBJECTS.encode())
        owner.execute("insert into notes values (1); analyze notes; comment on table notes is 'x'")
        assert fingerprint(owner, deciders) == before
