"""Policies on rows that are gone: the same answer as on the rows themselves, or none."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ayb_realtime import visibility
from ayb_realtime.checks.policies import check_old_rows
from ayb_realtime.identity import ANONYMOUS_ROLE, Identity
from ayb_realtime.visibility.old_rows import OldRowsQuestion, why_inexact
from ayb_realtime.wire.records import Row
from tests.integration.scenario import MakeTable, Owner, person
from tests.integration.visibility.conftest import LOGGED, checking

USER = "current_setting('ayb.user_id')"
OWN = f"author = {USER}"
PEOPLE = [person(n) for n in range(1, 5)]


async def would_see(
    owner: Owner, table: str, people: Sequence[Identity] = PEOPLE, search_path: str = "public"
) -> tuple[list[set[int]], set[int]]:
    """Check the rows of a table as if they were gone; return the ordinals that each would see, and those that do not
    tell.

    Who would see a row has to be who sees it while it is there.
    """
    rows = {n: Row(record) for n, (record,) in enumerate(owner.execute(LOGGED, [table]).fetchall(), 1)}
    async with checking(table) as (connection, target):
        await connection.execute("select set_config('search_path', %s, true)", [search_path])
        assert await why_inexact(connection, target) is None
        see = await visibility.check(connection, target, rows, people, undefined_is_failure=True)
        question = OldRowsQuestion(connection, target, True)
        await question.ask([(rows, people)])
        assert not question.unanswered
    told = [set(question.seen[each]) for each in people]
    assert told == [set(see[each]) - question.inexact for each in people]
    return told, question.inexact


@pytest.fixture
def team(owner: Owner) -> Iterator[None]:
    """A team's members, in a schema of its own, and functions of several kinds that ask for them."""
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
            answer = await visibility.check_before(connection, table, {1: other}, [person(1)])
            assert (dict(answer), answer.unanswered) == ({person(1): {}}, {})
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
            # A policy that is run by Postgres has its names looked up already; one that is written anew has not.
            assert await visibility.check(connection, table, rows, [person(1)]) == {person(1): {1: None}}
            answer = await visibility.check_before(connection, table, rows, [person(1)])
            assert (dict(answer), answer.unanswered) == ({person(1): {}}, {})
    finally:
        owner.execute("drop schema hidden cascade")


async def test_policy_that_fails_on_one_row_or_for_somebody_says_no_to_them_alone(
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
        answer = await visibility.check_before(connection, table, {7: Row('{"id":1}')}, PEOPLE)
    assert [set(answer[each]) for each in PEOPLE] == [{7}, set(), {7}, {7}]
    assert [*answer.unanswered] == [person(2)]


async def test_policy_that_leaves_a_role_or_a_setting_behind_reaches_nobody_else(
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


TYPES = {
    "text": ["''", "'null'", "'a \"quoted\" \\ key\n, é 🙂'"],
    "char(10)": ["'ten chars.'", "'x'"],
    '"char"': ["'x'"],
    "bytea": ["'\\x00ff'", "''"],
    "boolean": ["false"],
    "bigint": ["9007199254740993"],
    "numeric": ["'NaN'", "1.10", "'Infinity'", "12345678901234567890.0123456789"],
    "double precision": ["'NaN'", "0.1", "-0.0", "'-Infinity'", "1e-300"],
    "real": ["0.1"],
    "timestamptz": ["'2026-02-28 12:00:00.123456+02'", "'infinity'", "'0044-03-15 BC'"],
    "timestamp": ["'294276-12-31 23:59:59.999999'"],
    "date": ["'0044-03-15 BC'", "'-infinity'"],
    "time with time zone": ["'12:00:00.5+02'"],
    "interval": ["'-1 year +2 days -03:04:05.000006'"],
    "uuid": ["'9e107d9d-372b-4bb8-9a2b-1d3d2f1b0c5a'"],
    "inet": ["'10.0.0.1/8'"],
    "bit(3)": ["b'101'"],
    "int4range": ["'[1,5)'", "'empty'"],
    "tstzrange": ["'[2026-02-07 23:00:00+01,)'"],
    "int4multirange": ["'{[1,2),[5,8)}'"],
    "int[]": ["'{}'", "'{{1,2},{3,null}}'"],
    "text[]": ["""'{"a b",NULL,"NULL"}'"""],
    "jsonb": ["""'{"a": [1, 2.50, null], "n": 1e400}'""", "'\"null\"'", "'[]'"],
    "tsvector": ["'a b c'"],
    "pair": ["row(1, 'x')", """row(2, 'a"b,(c')"""],
    "pair[]": ["array[row(1, 'x')::pair]"],
    "short_text": ["'abc'"],
    "stamp": ["'2026-02-28 12:00:00+02'"],
}


@pytest.fixture
def types(owner: Owner) -> Iterator[None]:
    """A composite type and domains."""
    owner.execute("create type pair as (a int, b text); create domain short_text text check (length(value) < 9)")
    owner.execute("create domain stamp timestamptz")
    yield
    owner.execute("drop type pair cascade; drop domain short_text cascade; drop domain stamp cascade")


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize("kind", list(TYPES))
async def test_value_of_each_type_is_read_as_it_was(owner: Owner, make_table: MakeTable, kind: str) -> None:
    values = [*TYPES[kind], "null"]
    # The value's text has all of it, and its bytes.
    policy = "value::text is not distinct from (select v::text from expected e where e.id = notes.id)"
    make_table("expected", f"id int primary key, v {kind}", enable=False)
    owner.execute("grant select on expected to ayb_authenticated")
    make_table("notes", f"id int primary key, value {kind}", policy=policy)
    for n, value in enumerate(values, 1):
        owner.execute(f"insert into expected values ({n}, {value})".encode())
        owner.execute(f"insert into notes values ({n}, {value})".encode())
    told, inexact = await would_see(owner, "notes")
    doubtful = {len(values)} if kind in {"jsonb", "pair", "pair[]"} else set()
    assert inexact == doubtful
    assert told == [set(range(1, len(values) + 1)) - doubtful] * 4


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("json", "'null'"),
        ("jsonb", "'null'"),
        ("json[]", "array['null'::json]"),
        ("jsonb[]", "array[null, '1'::jsonb]"),
        ("pair", "row(1, null)"),
    ],
)
async def test_null_that_may_be_json_s_own_does_not_tell(
    owner: Owner, make_table: MakeTable, kind: str, value: str
) -> None:
    make_table("notes", f"id int primary key, value {kind}, other json", policy="value is null or id = 2")
    owner.execute(f"insert into notes values (1, {value}, 'null'), (2, null, '1')".encode())
    assert (await would_see(owner, "notes"))[1] == {1, 2}
    owner.execute("alter policy p on notes using (id < 3)")
    assert await would_see(owner, "notes") == ([{1, 2}] * 4, set())
    owner.execute("alter policy p on notes using (notes is distinct from null)")
    assert (await would_see(owner, "notes"))[1] == {1, 2}


@pytest.mark.parametrize(
    "alteration",
    [
        "alter table notes add column later int default 5",
        "alter table notes drop column body",
        "alter table notes rename column body to content",
        "alter table notes alter column body type int using 1",
        "alter table notes alter column size type text",
    ],
)
async def test_row_of_another_definition_does_not_tell(owner: Owner, make_table: MakeTable, alteration: str) -> None:
    make_table("notes", "id int primary key, author text, size int, body text", policy=OWN)
    owner.execute("insert into notes values (1, '1', 5, 'x')")
    before = owner.execute(LOGGED, ["notes"]).fetchone() or [""]
    owner.execute(alteration.encode())
    async with checking("notes") as (connection, table):
        answer = await visibility.check_before(connection, table, {1: Row(before[0])}, PEOPLE)
    assert (dict(answer), answer.unanswered) == ({each: {} for each in PEOPLE}, {})


async def test_row_of_a_partition_with_another_order_of_columns_tells(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int, author text, primary key (id)", policy=OWN, suffix="partition by list (id)")
    owner.execute("create table notes_1 (author text, extra int, id int not null)")
    owner.execute("alter table notes_1 drop column extra")
    owner.execute("alter table notes attach partition notes_1 for values in (1)")
    owner.execute("insert into notes values (1, '1')")
    assert owner.execute(LOGGED, ["notes"]).fetchall() == [('{"author":"1","id":1}',)]
    assert await would_see(owner, "notes") == ([{1}, set(), set(), set()], set())


async def reasons(table: str) -> str | None:
    """Return why the policies of a table cannot be evaluated exactly."""
    async with checking(table) as (connection, target):
        return await why_inexact(connection, target)


INEXACT = {
    "ctid is not null": "the policy p reads a system column",
    "tableoid = 'notes'::regclass": "the policy p reads a system column",
    "exists (select from seen where seen.id = notes.id)": "the policy p reads the table itself",
    "exists (select from seen_again s where s.id = notes.id)": "the policy p reads the table itself",
    "reads_again(id)": "the policy p reads the table itself",
    "reads_by_name(id)": "the policy p reads the table itself",
    "calls_another(id)": "the policy p reads the table itself",
    "of_row(notes)": "the policy p reads the table itself",
    "id operator(pg_catalog.=) any (array(select id from parent))": "the policy p reads the table itself",
    "guarded()": "the policy p reads the table itself",
    "query_to_xml('select 1 from notes', true, false, '') is not null": "the policy p runs SQL that is not to be seen",
    "dynamic(id)": "the policy p calls the function dynamic, which may run any SQL",
}


@pytest.fixture
def readers(owner: Owner, make_table: MakeTable) -> Iterator[None]:
    """A table, and what reads it: a parent, views, functions of each kind, another table's policy."""
    make_table("parent", "id int", enable=False)
    make_table("notes", "primary key (id), author text", policy="true", suffix="inherits (parent)")
    owner.execute("create view seen as select * from notes; create view seen_again as select id from seen")
    make_table("guards", "id int", policy="exists (select from seen)", enable=False)
    make_table("noted", "notes_id int", enable=False)
    functions = {
        "reads_again(n int)": "sql stable begin atomic select exists (select from notes where notes.id = n); end",
        "reads_by_name(n int)": 'plpgsql as $$ begin return exists (select from Public."notes" where id = n); end $$',
        "calls_another(n int)": "sql as $$ select reads_by_name(n) $$",
        "of_row(n notes)": "sql as $$ select exists (select from seen s where s.id = n.id) $$",
        "guarded()": "sql as $$ select exists (select from guards) $$",
        "dynamic(n int)": "plpgsql as $$ begin execute 'select 1'; return true; end $$",
        "harmless(n int)": "sql as $$ select exists (select from noted where notes_id = n) -- not of notes_seen $$",
    }
    for function, body in functions.items():
        owner.execute(f"create function {function} returns boolean language {body}".encode())
    yield
    owner.execute(f"drop function if exists {', '.join(functions)} cascade".encode())


@pytest.mark.usefixtures("readers")
async def test_policy_that_reads_more_than_the_row_is_known_for_it(owner: Owner) -> None:
    for policy, reason in INEXACT.items():
        owner.execute(f"alter policy p on notes using ({policy})".encode())
        assert await reasons("notes") == reason, policy
    for policy in ("harmless(id)", OWN, "notes is not null"):
        owner.execute(f"alter policy p on notes using ({policy})".encode())
        assert await reasons("notes") is None, policy
    owner.execute("create policy w on notes for insert with check (dynamic(id))")
    assert await reasons("notes") is None


@pytest.mark.usefixtures("readers")
def test_check_names_the_tables_and_what_becomes_of_their_deletes(owner: Owner, settings: Any) -> None:
    assert warnings() == []
    settings.AYB_REALTIME = {"DELETE_VISIBILITY": "policy"}
    assert warnings() == []
    owner.execute("alter policy p on notes using (calls_another(id))")
    told = 'Whose a deleted row of "notes" was cannot be told: the policy p reads the table itself. Its deletes are '
    assert warnings() == [("ayb_realtime.W050", f"{told}withheld from everyone.")]
    settings.AYB_REALTIME = {"DELETE_VISIBILITY": "policy", "INEXACT_DELETES": "everyone"}
    assert warnings() == [("ayb_realtime.W050", f"{told}told to everyone.")]
    settings.AYB_REALTIME = {}
    assert warnings() == []


def warnings() -> list[tuple[str | None, str]]:
    """Return what the check says."""
    return [(each.id, each.msg) for each in check_old_rows(None, databases=["default"])]


async def test_virtual_column_cannot_be_told_and_a_stored_one_can(owner: Owner, make_table: MakeTable) -> None:
    generated = "int generated always as (a + 1)"
    make_table("notes", f"id int primary key, a int, b {generated} stored", policy="b = 2")
    owner.execute("insert into notes values (1, 1)")
    assert await would_see(owner, "notes") == ([{1}] * 4, set())
    if owner.info.server_version >= 180000:
        owner.execute(
            f"alter table notes add column c {generated} virtual; alter policy p on notes using (c = 2)".encode()
        )
        assert await reasons("notes") == "the policy p reads the virtual column c"
