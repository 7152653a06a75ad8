"""Policies on rows that are gone give the same answer as on the rows themselves, or none."""

from collections.abc import Iterator
from typing import Any

import pytest

from ayb_realtime import visibility
from ayb_realtime.identity import ANONYMOUS_ROLE, Identity
from ayb_realtime.wire.records import Row
from tests.integration.scenario import OWN, USER, MakeTable, Owner, person
from tests.integration.visibility.conftest import PEOPLE, checking, would_see


@pytest.fixture
def team(owner: Owner) -> Iterator[None]:
    """A team's members in a separate schema, and functions of several kinds that read them."""
    owner.execute(
        """
        create schema team;
        grant usage on schema team to ayb_authenticated;
        create table team.members (team int, person text);
        create table team.notes (id int, reader text);
        insert into team.members values (1, '1'), (2, '2'), (2, '3');
        insert into team.notes values (1, '1'), (2, '4');
        grant select on team.members, team.notes to ayb_authenticated;
        create function me() returns text language sql stable as $$ select current_setting('ayb.user_id') $$;
        create function team.teams() returns setof int language sql stable security definer
            as $$ select team from team.members where person = public.me() $$;
        create function team.has(number int) returns boolean language plpgsql stable security definer as $$
            begin return exists (select from team.members m where m.team = number and m.person = me()); end $$;
        create function team.atomic(number int) returns boolean language sql stable begin atomic
            select exists (select from team.members m where m.team = number and m.person = public.me()); end;
        create function team.like(a int, b text) returns boolean language sql stable
            as $$ select exists (select from team.members m where m.team = a and m.person = b) $$;
        create operator team.~~~ (function = team.like, leftarg = int, rightarg = text);
        create view team.everyone with (security_barrier) as select * from team.members;
        grant select on team.everyone to ayb_authenticated;
        """
    )
    yield
    owner.execute("drop schema team cascade; drop function me")


MEMBER = [[1], [2, 3], [2, 3], []]


POLICIES: dict[str, tuple[str, list[list[int]]]] = {
    "own": (OWN, [[1, 3], [2], [], []]),
    "cast": (f"id = {USER}::bigint", [[1], [2], [3], []]),
    "or": (f"{OWN} or is_public", [[1, 3], [2, 3], [3], [3]]),
    "not": (f"not ({OWN})", [[2], [1, 3], [1, 2, 3], [1, 2, 3]]),
    "nothing": ("false", [[], [], [], []]),
    "null": ("null", [[], [], [], []]),
    "exists": (
        f"exists (select from team.members m where m.team = TABLE.team and m.person = {USER})",
        MEMBER,
    ),
    "namesake": (
        f"exists (select from team.notes where team.notes.id = public.TABLE.id and reader = {USER})",
        [[1], [], [], [2]],
    ),
    "in": (f"team in (select team from team.members where person = {USER})", MEMBER),
    "view": (f"team = any (select e.team from team.everyone e where person = {USER})", MEMBER),
    "scalar": (f"team = (select max(team) from team.members where person = {USER})", MEMBER),
    "set function": ("team in (select team.teams())", MEMBER),
    "plpgsql": ("team.has(team)", MEMBER),
    "atomic": ("team.atomic(team)", MEMBER),
    "operator": (f"team operator(team.~~~) {USER}", MEMBER),
    "whole row": (f"(TABLE.*)::text like '(' || {USER} || ',%'", [[1], [2], [3], []]),
    "row is": ("(TABLE.*) is not null", [[1, 2], [1, 2], [1, 2], [1, 2]]),
    "odd names": (
        f'k = {USER} and record = n::text and one = \'one\' and "a ""b" = m',
        [[1], [2], [3], []],
    ),
    "domain": ("team between 2 and 2 and kind = 'b'::kind", [[2, 3]] * 4),
}


COLUMNS = """
    id bigint primary key, author text, team int, is_public boolean, body text,
    n int, record text, k text, one text, m text, "a ""b" text, kind kind
"""


@pytest.mark.parametrize("shape", list(POLICIES))
@pytest.mark.parametrize("table", ["notes", "k"])
@pytest.mark.usefixtures("team")
async def test_policy_of_each_shape_says_of_a_gone_row_what_it_said_before(
    owner: Owner, make_table: MakeTable, shape: str, table: str
) -> None:
    policy, expected = POLICIES[shape]
    owner.execute("create type kind as enum ('a', 'b')")
    try:
        make_table(table, COLUMNS, policy=policy.replace("TABLE", table))
        owner.execute(
            f"""
            insert into {table} values
                (1, '1', 1, false, 'x', 1, '1', '1', 'one', 'm', 'm', 'a'),
                (2, '2', 2, false, 'y', 2, '2', '2', 'one', 'm', 'm', 'b'),
                (3, '1', 2, true, null, 3, '3', '3', 'one', 'm', 'm', 'b')
            """.encode()
        )
        told, inexact = await would_see(owner, table)
        assert told == [set(ids) for ids in expected]
        assert not inexact
    finally:
        owner.execute(f"drop table if exists {table}; drop type kind".encode())


async def test_permissive_policies_add_restrictive_ones_take_away_by_role(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author text, is_public boolean")
    owner.execute(
        """
        insert into notes values (1, '1', false), (2, '2', true), (3, '3', true);
        alter table notes enable row level security;
        """
    )
    assert (await would_see(owner, "notes"))[0] == [set()] * 4
    owner.execute("create role notes_staff nologin")
    try:
        for made, expected in [
            (f"create policy a on notes for select using ({OWN})", [{1}, {2}, {3}, set()]),
            ("create policy b on notes for update using (true)", [{1}, {2}, {3}, set()]),
            ("create policy c on notes to notes_staff using (true)", [{1}, {2}, {3}, set()]),
            ("create policy d on notes to ayb_authenticated using (is_public)", [{1, 2, 3}, {2, 3}, {2, 3}, {2, 3}]),
            (
                "create policy e on notes as restrictive to notes_staff using (false)",
                [{1, 2, 3}, {2, 3}, {2, 3}, {2, 3}],
            ),
            ("create policy f on notes as restrictive using (id < 3)", [{1, 2}, {2}, {2}, {2}]),
            ("create policy g on notes as restrictive with check (false)", [{1, 2}, {2}, {2}, {2}]),
            ("grant notes_staff to ayb_authenticated", [set()] * 4),
        ]:
            owner.execute(made.encode())
            assert (await would_see(owner, "notes"))[0] == expected, made
    finally:
        owner.execute("drop table notes; drop role notes_staff")


async def test_each_role_is_asked_by_its_own_policies(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author text")
    owner.execute("grant select on notes to ayb_anonymous; alter table notes enable row level security")
    owner.execute(f"create policy a on notes to ayb_authenticated using ({OWN})".encode())
    owner.execute("create policy b on notes to ayb_anonymous using (id = 3)")
    owner.execute("insert into notes values (1, '1'), (2, '2'), (3, '3')")
    nobody = Identity(ANONYMOUS_ROLE, ())
    people = [person(1), nobody, person(2), nobody, person(3)]
    assert (await would_see(owner, "notes", people))[0] == [{1}, {3}, {2}, {3}, {3}]


async def test_name_of_another_schema_on_the_path_does_not_stand_for_that_of_the_policy(
    owner: Owner, make_table: MakeTable
) -> None:
    make_table("members", "person text", enable=False)
    owner.execute("grant select on members to ayb_authenticated; insert into members values ('1')")
    make_table(
        "notes", "id int primary key, author text", policy=f"{OWN} and {USER} in (select person from public.members)"
    )
    owner.execute("insert into notes values (1, '1'), (2, '2')")
    owner.execute(
        """
        create schema other;
        grant usage on schema other to ayb_authenticated;
        create function other.yes(text, text) returns boolean language sql as 'select true';
        create operator other.= (function = other.yes, leftarg = text, rightarg = text);
        create function other.current_setting(text) returns text language sql as $$ select 'x' $$;
        create table other.members (person text);
        insert into other.members values ('1'), ('2');
        grant select on other.members to ayb_authenticated;
        create table other.notes ();
        """
    )
    try:
        for path in ("other, pg_catalog", "other, public", '"$user", public', ""):
            assert await would_see(owner, "notes", search_path=path) == ([{1}, set(), set(), set()], set()), path
        async with checking("notes") as (connection, table):
            await connection.execute("set local search_path = other, pg_catalog")
            other = Row('{"id":1,"author":"1","body":"dropped since"}')
            answers = await visibility.check_before(connection, table, {1: other}, [person(1)])
            assert (answers.by_identity, answers.unanswered, answers.locked_out) == ({}, {}, set())
    finally:
        owner.execute("drop schema other cascade")


async def test_policy_that_names_what_the_role_may_not_name_says_no(owner: Owner, make_table: MakeTable) -> None:
    owner.execute(
        "create schema hidden; create table hidden.members (person text); insert into hidden.members values (1)"
    )
    owner.execute("grant select on hidden.members to ayb_authenticated")
    make_table("notes", "id int primary key", policy=f"{USER} in (select person from hidden.members)")
    owner.execute("insert into notes values (1)")
    try:
        async with checking("notes") as (connection, table):
            rows = {1: Row('{"id":1}')}
            # In a policy that Postgres runs, names are already resolved; one that is parsed again is resolved then.
            assert (await visibility.check(connection, table, rows, [person(1)])).by_identity == {person(1): {1: None}}
            answers = await visibility.check_before(connection, table, rows, [person(1)])
            assert (answers.by_identity, answers.unanswered, answers.locked_out) == ({}, {}, set())
    finally:
        owner.execute("drop schema hidden cascade")


async def test_policy_that_fails_for_one_row_or_identity_refuses_only_those(
    owner: Owner, make_table: MakeTable
) -> None:
    policy = (
        f"case when {USER} = '2' then 1 / (id - 2) is not null when {USER} = '3' then id / (id - id) = 1 else {OWN} end"
    )
    make_table("notes", "id int primary key, author text", policy=policy)
    owner.execute("insert into notes values (1, '1'), (2, '2'), (3, '1')")
    assert (await would_see(owner, "notes"))[0] == [{1, 3}, {1, 3}, set(), set()]


async def test_policy_that_sleeps_costs_only_its_own_identity(
    owner: Owner, make_table: MakeTable, settings: Any
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 0.2}
    make_table("notes", "id int primary key", policy=f"case when {USER} = '2' then pg_sleep(60) is null else true end")
    async with checking("notes") as (connection, table):
        answers = await visibility.check_before(connection, table, {7: Row('{"id":1}')}, PEOPLE)
    assert [set(answers.visible_to(each)) for each in PEOPLE] == [{7}, set(), {7}, {7}]
    assert [*answers.unanswered] == [person(2)]


async def test_policy_that_leaves_a_role_or_a_setting_behind_affects_no_other_identity(
    owner: Owner, make_table: MakeTable
) -> None:
    leaves = "set_config('role', 'none', true) = 'none'"
    kept = "set_config('ayb.kept', '1', false) is not null"
    none = "coalesce(current_setting('ayb.kept', true), '') = ''"
    policy = f"case {USER} when '1' then {leaves} when '2' then {kept} else {none} end"
    make_table("notes", "id int primary key", policy=policy)
    owner.execute("insert into notes values (1)")
    assert (await would_see(owner, "notes"))[0] == [set(), {1}, {1}, {1}]


async def test_plan_that_would_remember_an_identity_is_discarded(owner: Owner, make_table: MakeTable) -> None:
    # Postgres folds the immutable one into the plans of the other, once for the session.
    owner.execute(
        "create function me() returns text language sql immutable as $$ select current_setting('ayb.user_id') $$"
    )
    owner.execute(
        "create function mine(text) returns boolean language plpgsql stable as $$ begin return $1 = me(); end $$"
    )
    try:
        make_table("notes", "id int primary key, author text", policy="mine(author)")
        owner.execute("insert into notes values (1, '1'), (2, '2'), (3, '3')")
        assert (await would_see(owner, "notes"))[0] == [{1}, {2}, {3}, set()]
    finally:
        owner.execute("drop table notes cascade; drop function mine(text); drop function me()")
