"""What explain says about tables, roles, privileges and triggers."""

import pytest

from ayb_realtime.exceptions import CannotExplain
from ayb_realtime.identity import Identity
from tests.integration.diagnostics.conftest import obstacles, steps, told
from tests.integration.scenario import MakeTable, Owner


async def test_missing_permissive_policy_is_reported(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key", policy="true")
    owner.execute("alter policy p on notes to ayb_anonymous")
    owner.execute("create policy narrower on notes as restrictive using (true)")
    (step,) = await obstacles("notes")
    assert step.found == (
        "Row-level security is on, and no permissive policy for SELECT applies to ayb_authenticated: it sees no row."
    )
    owner.execute(step.hint.replace("…", "wider", 1).replace("…", "true").encode())
    assert await obstacles("notes") == []


async def test_missing_row_security_is_reported(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    owner.execute("insert into notes values (42)")
    said = await told("notes", "42")
    assert said[0] == "Row-level security is off: a role that may SELECT from public.notes sees every row."
    assert said[-1].startswith("It is visible")


async def test_role_that_no_policy_binds_is_reported(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key", policy="false")
    owner.execute("insert into notes values (42)")
    owner.execute("grant create on schema public to ayb_authenticated")
    owner.execute("alter table notes owner to ayb_authenticated")
    try:
        (step,) = await obstacles("notes", "42")
        assert step.found.startswith("ayb_authenticated owns the streamed table notes, so that row-level security")
    finally:
        owner.execute("set role ayb_authenticated; drop table notes; reset role")
        owner.execute("revoke create on schema public from ayb_authenticated")


async def test_forced_row_security_is_reported(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author int", policy="author = current_setting('ayb.user_id', true)::int")
    owner.execute("insert into notes values (42, 1), (43, 2)")
    owner.execute("alter table notes force row level security")
    said = await told("notes", "42")
    assert said[0].startswith("Row-level security is on and forced: ")
    assert said[-1].startswith("It is visible")
    if owner.info.parameter_status("is_superuser") == "on":
        assert said[2] == "Row (42) is there."
    else:  # A role that policies bind cannot tell a missing row from a hidden one.
        refusal = 'SQLSTATE 42501: query would be affected by row-level security policy for table "notes"'
        assert said[2] == f"Row (42) can only be looked for as the subscriber: {refusal}."
    assert (await told("notes", "43"))[-1].startswith("It is not visible to the subscriber")


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("revoke select on notes from ayb_authenticated", "SELECT the columns id"),
        (
            "revoke select on notes from ayb_authenticated; grant select (author) on notes to ayb_authenticated",
            "SELECT the columns id",
        ),
    ],
)
async def test_missing_privilege_is_named(owner: Owner, make_table: MakeTable, statement: str, sentence: str) -> None:
    make_table("notes", "id int primary key, author int", policy="true")
    owner.execute("insert into notes values (42, 1)")
    owner.execute(statement.encode())
    privilege, row = await obstacles("notes", "42")
    assert privilege.found == f"ayb_authenticated may not {sentence}, so it is sent no rows."
    assert "permission denied for table notes" in row.found
    owner.execute(privilege.hint.encode())
    assert await obstacles("notes", "42") == []


async def test_schema_that_may_not_be_used_is_named(owner: Owner, make_table: MakeTable) -> None:
    owner.execute("create schema sales")
    try:
        make_table("sales.orders", "id int primary key", policy="true")
        owner.execute("revoke usage on schema sales from ayb_authenticated")
        (step,) = await obstacles("orders")
        assert step.found == "ayb_authenticated may not use the schema sales, so it is sent no rows."
        owner.execute(step.hint.encode())
        assert await obstacles("orders") == []
    finally:
        owner.execute("drop schema sales cascade")


async def test_role_that_the_hub_may_not_act_as_is_named(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key", policy="true")
    (step, *_) = await obstacles("notes", "42", identity=Identity("no_such_role", ()))
    assert "There is no role no_such_role. " in step.found


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ('alter table notes disable trigger "!ayb_realtime"', "disabled"),
        ('alter table notes enable replica trigger "!ayb_realtime"', "enabled for replicas alone"),
        ("select ayb_realtime.disable_v1('notes')", "missing"),
    ],
)
async def test_trigger_that_does_not_fire_is_reported(
    owner: Owner, make_table: MakeTable, statement: str, state: str
) -> None:
    make_table("notes", "id int primary key", policy="true")
    owner.execute(statement.encode())
    step = (await obstacles("notes"))[0]
    assert step.found == f"public.notes is not streamed: its trigger is {state}."
    if state != "missing":
        owner.execute(step.hint.encode())
        assert await obstacles("notes") == []


async def test_lost_key_is_reported(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key", policy="true")
    owner.execute("alter table notes drop constraint notes_pkey")
    (step,) = await obstacles("notes", "42")
    assert step.found == "It has no primary key."


async def test_view_is_reported_to_have_no_changes(owner: Owner, make_table: MakeTable) -> None:
    owner.execute("create view overview as select 1 as id")
    try:
        (step,) = await obstacles("overview", "1")
        assert step.found == "public.overview is a view: it has no changes of its own."
        assert await obstacles("public.overview", "1") == [step]
    finally:
        owner.execute("drop view overview")


async def test_unknown_table_is_refused_with_the_known_ones(database_url: str) -> None:
    with pytest.raises(CannotExplain, match=r"^There is no table 'nope'\. Streamed are: comments, posts\.$"):
        await steps("nope")


async def test_nothing_is_changed(owner: Owner, make_table: MakeTable) -> None:
    owner.execute("create table spies (at timestamptz)")
    try:
        owner.execute("grant insert on spies to ayb_authenticated")
        owner.execute(
            "create or replace function spy() returns boolean language plpgsql as"
            " $$ begin insert into spies values (now()); return true; end $$"
        )
        make_table("notes", "id int primary key", policy="spy()")
        owner.execute("insert into notes values (42)")
        said = await told("notes", "42")
        assert "cannot execute INSERT in a read-only transaction" in said[-1]
        assert owner.execute("select count(*) from spies").fetchone() == (0,)
    finally:
        owner.execute("drop table spies")
