"""Shortlists: a check of a row asks only the identities whom the policies can show it."""

from collections.abc import Iterator, Sequence

import pytest

from ayb_realtime import visibility
from ayb_realtime.exceptions import CatalogChanged
from ayb_realtime.identity import AUTHENTICATED_ROLE, Identity
from ayb_realtime.visibility import Answers, setting_index, shortlist
from ayb_realtime.visibility.answers import Shortlist
from ayb_realtime.visibility.current_rows import CurrentRowsCheck
from ayb_realtime.wire.records import Row
from tests.integration.scenario import USER, MakeTable, Owner, person
from tests.integration.visibility.conftest import checking, seen

pytestmark = pytest.mark.usefixtures("reading_hub")

PEOPLE = [person(n) for n in range(shortlist.FEW + 4)]


ANN, BOB = PEOPLE[1], PEOPLE[2]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Identity]:
    """The identities that were asked about rows, once for each time."""
    found: list[Identity] = []
    answer = CurrentRowsCheck.answer

    async def tell(self: CurrentRowsCheck, shortlists: Sequence[Shortlist]) -> Answers:
        for _, identities in shortlists:
            found.extend(identities)
        return await answer(self, shortlists)

    monkeypatch.setattr(CurrentRowsCheck, "answer", tell)
    return found


async def shown(table: str = "notes", people: Sequence[Identity] = PEOPLE) -> dict[Identity, dict[int, str | None]]:
    """Return the rows of each identity that sees any."""
    return {who: rows for who, rows in zip(people, await seen(table, people), strict=True) if rows}


async def test_only_those_are_asked_for_whom_the_row_is(
    owner: Owner, make_table: MakeTable, asked: list[Identity]
) -> None:
    make_table("notes", "id int primary key, owner text", policy=f"owner = {USER}")
    owner.execute("insert into notes values (1, '1'), (2, '2'), (3, '1'), (4, null)")
    assert await shown() == {ANN: {1: None, 3: None}, BOB: {2: None}}
    assert sorted(asked, key=PEOPLE.index) == [ANN, BOB]


async def test_shortlist_of_several_expressions_and_many_identities_is_found_at_once(
    owner: Owner, make_table: MakeTable, asked: list[Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setting_index, "_indexes", {})
    monkeypatch.setattr(setting_index, "EVALUATED_TOGETHER", 7)
    make_table("notes", "id int primary key, owner text, i int", policy=f"owner = {USER}")
    owner.execute(f"create policy q on notes using (i = {USER}::int)".encode())
    owner.execute("insert into notes values (1, '1', 2), (2, null, 19)")
    assert await shown() == {ANN: {1: None}, BOB: {1: None}, PEOPLE[19]: {2: None}}
    assert sorted(asked, key=PEOPLE.index) == [ANN, BOB, PEOPLE[19]]


async def test_row_is_for_whom_it_is_now_whatever_was_logged(
    owner: Owner, make_table: MakeTable, asked: list[Identity]
) -> None:
    make_table("notes", "id int primary key, owner text", policy=f"owner = {USER}")
    owner.execute("insert into notes values (1, '1')")
    owner.execute("update notes set owner = '2'")
    assert await shown() == {BOB: {1: '{"id":1,"owner":"2"}', 2: None}}
    assert asked == [BOB]


@pytest.mark.parametrize(
    "statement",
    [
        "alter table notes rename owner to person",
        "alter table notes rename owner to person; alter table notes rename other to owner;"
        "alter table notes rename person to other",
        "alter table notes alter owner type text using '2'",
        "alter table notes disable trigger all; update notes set owner = '2'; alter table notes enable trigger all",
    ],
)
async def test_column_that_is_another_since_the_row_was_logged_still_tells(
    owner: Owner, make_table: MakeTable, statement: str
) -> None:
    make_table("notes", "id int primary key, owner text, other text")
    owner.execute("insert into notes values (1, '1', '2')")
    owner.execute(statement.encode())
    column = "person" if statement.endswith("person") else "owner"
    owner.execute(f"create policy p on notes using ({column} = {USER})".encode())
    owner.execute("alter table notes enable row level security")
    (now,) = owner.execute(f"select {column} from notes".encode()).fetchone() or ("",)
    assert {who: sorted(rows)[0] for who, rows in (await shown()).items()} == {person(now): 1}


@pytest.mark.parametrize(
    ("policies", "columns"),
    [
        ([f"using (owner = {USER})", f"using (i = {USER}::int)"], ["owner", "i"]),
        ([f"using (owner = {USER})", "using (shown)"], None),
        ([f"using (owner = {USER})", "as restrictive using (shown)"], ["owner"]),
        (["using (shown)", f"as restrictive using (owner = {USER})"], None),
        ([f"as restrictive using (owner = {USER})"], []),
        ([f"using (owner = {USER})", "for update using (true)", "for insert with check (true)"], ["owner"]),
        ([f"to ayb_authenticated using (owner = {USER})", "to ayb_anonymous using (true)"], ["owner"]),
        ([f"using (owner = {USER})", "to public using (true)"], None),
        ([], []),
    ],
)
async def test_each_permissive_policy_of_the_role_has_to_tell(
    owner: Owner, make_table: MakeTable, policies: list[str], columns: list[str] | None
) -> None:
    make_table("notes", "id int primary key, owner text, i int, shown boolean", policy="true")
    owner.execute("drop policy p on notes")
    for number, policy in enumerate(policies):
        owner.execute(f"create policy p{number} on notes {policy}".encode())
    owner.execute("insert into notes values (1, '1', 2, true), (2, '2', 2, false), (3, null, null, true)")
    async with checking("notes") as (connection, table):
        equalities = await shortlist.derive_equalities(connection, table, AUTHENTICATED_ROLE)
    assert (None if equalities is None else [equality.column for equality in equalities]) == columns
    few = [await seen("notes", [who]) for who in PEOPLE]
    assert [[each] for each in await seen("notes", PEOPLE)] == few


# Each redefines something that is written like Postgres' own.
OWN = """
create schema own;
grant usage on schema own to public;
create function own.equals(text, text) returns boolean language sql immutable as 'select length($1) = length($2)';
create operator own.= (leftarg = text, rightarg = text, function = own.equals);
create function own.current_setting(text) returns text language sql stable as $$ select '2'::text $$;
create domain own.text as pg_catalog.text;
create type own.uuid as enum ('1', '2')
"""


@pytest.fixture
def own(owner: Owner) -> Iterator[None]:
    """A schema in which names of Postgres' own mean something else."""
    for statement in OWN.split(";\n"):
        owner.execute(statement.encode())
    yield
    owner.execute("drop schema own cascade")


@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        ("text", f"owner operator(own.=) {USER}"),
        ("text", f"owner = {USER}"),  # found in the search path
        ("text", f"owner operator(pg_catalog.=) nullif({USER}, '22')"),
        ("text", "owner operator(pg_catalog.=) current_setting('ayb.user_id')"),
        ("text", f"owner operator(pg_catalog.=) pg_catalog.{USER}::own.text"),
        ("own.text", f"owner operator(pg_catalog.=) pg_catalog.{USER}"),
        ("own.uuid", f"owner operator(pg_catalog.=) pg_catalog.{USER}::own.uuid"),
        ("char(3)", f"owner operator(pg_catalog.=) pg_catalog.{USER}::char(3)"),
    ],
)
async def test_what_only_looks_like_postgres_own_is_no_route(
    owner: Owner, make_table: MakeTable, own: None, kind: str, condition: str
) -> None:
    owner.execute("set search_path = own, pg_catalog, public")
    make_table("public.notes", f"id int primary key, owner {kind}", enable=False)
    owner.execute(f"create policy p on notes using ({condition})".encode())
    owner.execute("reset search_path")
    owner.execute("alter table notes enable row level security; select ayb_realtime.enable_v1('notes')")
    owner.execute("insert into notes values (1, '1'), (2, '2'), (3, '2')")
    async with checking("notes") as (connection, table):
        assert await shortlist.derive_equalities(connection, table, AUTHENTICATED_ROLE) is None
    few = [await seen("notes", [who]) for who in PEOPLE]
    assert [[each] for each in await seen("notes", PEOPLE)] == few


@pytest.mark.parametrize(
    ("columns", "suffix"),
    [
        ("id int primary key, owner text, given text generated always as (owner) stored", ""),
        ("id int primary key, owner text, given text generated always as (owner) stored", "partition by hash (id)"),
        ("id int[] primary key, owner text, given varchar generated always as (owner) stored", ""),
        ("owner text, id numeric, given text generated always as (owner) stored, primary key (owner, id)", ""),
    ],
)
async def test_row_of_any_table_is_routed(
    owner: Owner, make_table: MakeTable, asked: list[Identity], columns: str, suffix: str
) -> None:
    make_table("notes", columns, policy=f"given = {USER}", suffix=suffix)
    if suffix:
        owner.execute("create table notes_0 partition of notes for values with (modulus 1, remainder 0)")
    one, two = ("'{1}'", "'{2}'") if "[]" in columns else ("1", "2")
    owner.execute(f"insert into notes (id, owner) values ({one}, '1'), ({two}, '2')".encode())
    assert await shown() == {ANN: {1: None}, BOB: {2: None}}
    assert sorted(asked, key=PEOPLE.index) == [ANN, BOB]
    owner.execute("drop table if exists notes_0")


async def test_who_cannot_be_told_is_asked(owner: Owner, make_table: MakeTable, asked: list[Identity]) -> None:
    make_table("notes", "id int primary key, i int", policy="i = current_setting('ayb.number', true)::int")
    owner.execute("insert into notes values (1, 1)")
    one, odd, neither = (Identity(AUTHENTICATED_ROLE, settings) for settings in (
        (("ayb.number", "1"),), (("ayb.number", "x"),), (("ayb.user_id", "1"),)
    ))  # fmt: skip
    others = [Identity(AUTHENTICATED_ROLE, (("ayb.number", str(n)),)) for n in range(2, shortlist.FEW + 2)]
    assert await shown(people=[one, odd, neither, *others]) == {one: {1: None}}
    assert set(asked) == {one, odd, neither}


async def test_row_that_is_gone_asks_no_identity(owner: Owner, make_table: MakeTable, asked: list[Identity]) -> None:
    make_table("notes", "id int primary key, owner text", policy=f"owner = {USER}")
    owner.execute("insert into notes values (1, '1'); delete from notes")
    assert (await shown(), asked) == ({}, [])


@pytest.mark.parametrize(
    ("suffix", "rewriting"),
    [("", "alter table notes alter id type bigint"), ("partition by list (id)", "truncate notes_1")],
)
async def test_table_that_is_rewritten_meanwhile_is_not_taken_for_empty(
    owner: Owner, make_table: MakeTable, suffix: str, rewriting: str
) -> None:
    make_table("notes", "id int primary key, owner text", policy=f"owner = {USER}", suffix=suffix)
    if suffix:
        owner.execute("create table notes_1 partition of notes for values in (1)")
    owner.execute("insert into notes values (1, '1')")
    async with checking("notes") as (connection, table):
        owner.execute(rewriting.encode())
        with pytest.raises(CatalogChanged):
            await visibility.check(connection, table, {1: Row('{"id":1,"owner":"1"}')}, PEOPLE)
