"""What explain says about a row and the policies that hide it."""

from typing import Any

import pytest

from ayb_realtime.exceptions import CannotExplain
from tests.integration.diagnostics.conftest import OWN, obstacles, steps, told
from tests.integration.scenario import MakeTable, Owner, person


async def test_row_that_is_visible_is_shown_as_it_is_sent(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author int, at timestamptz", policy=OWN)
    owner.execute("insert into notes values (42, 1, '2026-02-28 12:00:00+02')")
    assert await obstacles("notes", "42") == []
    assert await told("notes", "42") == [
        "Row-level security is on: one permissive policy has to be true of a row, and each restrictive one.",
        "Permissive policy p: USING ((author = (current_setting('ayb.user_id'::text))::integer))",
        "Row (42) is there.",
        "Permissive policy p is true for it.",
        'It is visible, and an update of it is sent as: {"action":"update","table":"notes","record":'
        '{"id":42,"author":1,"at":"2026-02-28T10:00:00Z"}}',
    ]


async def test_row_of_another_user_names_each_policy_that_is_not_true(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author int, published bool", policy=OWN)
    owner.execute("create policy published on notes for select using (published)")
    owner.execute("create policy nothing on notes for delete using (true)")
    owner.execute("insert into notes values (42, 2)")
    assert (await told("notes", "42"))[-3:] == [
        "Permissive policy p is false for it.",
        "Permissive policy published is null, which is not true, for it.",
        "It is not visible to the subscriber: a SELECT of it finds nothing.",
    ]


async def test_restrictive_policy_is_told_from_a_permissive_one(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, archived bool", policy="true")
    owner.execute('create policy "Not archived" on notes as restrictive using (not archived)')
    owner.execute("insert into notes values (42, true)")
    said = await told("notes", "42")
    assert 'Restrictive policy "Not archived" is false for it.' in said
    assert "Permissive policy p is true for it." in said
    assert [step.found for step in await obstacles("notes", "42")] == said[-1:]


async def test_policy_that_fails_is_named_with_what_postgres_answers(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author int", policy=OWN)
    owner.execute("insert into notes values (42, 1)")
    assert (await told("notes", "42", identity=person("nobody")))[-2:] == [
        'Permissive policy p fails (SQLSTATE 22P02: invalid input syntax for type integer: "nobody") for it.',
        "It is not visible to the subscriber: Postgres answers SQLSTATE 22P02: invalid input syntax for type"
        ' integer: "nobody"',
    ]


async def test_policy_that_reads_what_the_subscriber_may_not_is_named(owner: Owner, make_table: MakeTable) -> None:
    make_table("members", "person int primary key", enable=False)
    make_table("notes", "id int primary key", policy="exists (select from members)")
    owner.execute("insert into notes values (42); insert into members values (1)")
    assert "permission denied for table members" in (await told("notes", "42"))[-1]
    owner.execute("grant select on members to ayb_authenticated")
    assert await obstacles("notes", "42") == []


async def test_policy_finds_what_only_its_author_finds_without_a_schema(owner: Owner, make_table: MakeTable) -> None:
    owner.execute("create schema authorization current_user")  # the "$user" of the search path, for this user
    try:
        owner.execute(f"create table {_me(owner)}.members (person int); insert into members values (1)".encode())
        make_table("public.notes", "id int primary key", policy="exists (select from members)")
        owner.execute(f"grant usage on schema {_me(owner)} to ayb_authenticated".encode())
        owner.execute("grant select on members to ayb_authenticated; insert into public.notes values (42)")
        assert "Permissive policy p is true for it." in await told("notes", "42")
    finally:
        owner.execute(f"drop schema {_me(owner)} cascade".encode())


def _me(owner: Owner) -> str:
    return '"' + owner.info.user + '"'


async def test_policy_that_sleeps_is_said_to_give_no_answer(owner: Owner, make_table: MakeTable, settings: Any) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 0.5}
    make_table("notes", "id int primary key", policy="pg_sleep(60) is null")
    owner.execute("insert into notes values (42)")
    assert (await told("notes", "42"))[-2:] == [
        "Permissive policy p fails (SQLSTATE 57014: canceling statement due to statement timeout) for it.",
        "Postgres did not say within 0.5 s whether it is visible: a reset is sent.",
    ]


async def test_policy_that_leaves_another_role_behind_is_found_out(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key", policy="set_config('role', 'none', true) = 'none'")
    owner.execute("insert into notes values (42)")
    assert (await told("notes", "42"))[-1] == (
        f"It is not visible to the subscriber: a policy's function leaves the role {owner.info.user} behind"
        " (SQLSTATE 42501)."
    )


@pytest.mark.parametrize(
    ("policy", "answer"),
    [
        ("title like '50%%s {} %%'", "is true"),
        ("has_title(notes)", "is true"),
        ("exists (select from notes_of_2 m where m.title = notes.title)", "is true"),
        ("title = any (array(select title from pg_temp_like notes where notes.id = 2))", "is false"),
        ("(notes.*)::text like '%%,x)'", "is true"),
        ("row_to_json(notes) ->> 'title' is null", "is false"),
        ("ctid is not null", 'cannot be evaluated by itself (SQLSTATE 42703: column "ctid" does not exist)'),
    ],
)
async def test_policy_is_evaluated_as_postgres_does(
    owner: Owner, make_table: MakeTable, policy: str, answer: str
) -> None:
    make_table("notes", 'id int primary key, title text, "Odd ""x""" text', enable=False)
    make_table("notes_of_2", "id int primary key, title text", enable=False)
    make_table("pg_temp_like", "id int primary key, title text", enable=False)
    owner.execute("grant select on notes_of_2, pg_temp_like to ayb_authenticated")
    owner.execute(
        "create or replace function has_title(note notes) returns boolean language sql stable"
        " as $$ select note.title is not null $$"
    )
    owner.execute(f"create policy p on notes using ({policy.replace('%%', '%')})".encode())
    owner.execute("alter table notes enable row level security")
    owner.execute("select ayb_realtime.enable_v1('notes')")
    owner.execute("insert into notes values (42, '50%s {} %', 'x')")
    owner.execute("insert into notes_of_2 values (1, '50%s {} %')")
    said = await told("notes", "42")
    assert f"Permissive policy p {answer} for it." in said
    is_visible = said[-1].startswith("It is visible")
    assert is_visible == (answer != "is false")


async def test_missing_row_is_reported(make_table: MakeTable) -> None:
    make_table("notes", "id int primary key", policy="true")
    (step,) = await obstacles("notes", "42")
    assert step.found == "Row (42) is not there. Only its delete can be sent."


async def test_composite_key_takes_a_value_for_each_column_in_its_order(owner: Owner, make_table: MakeTable) -> None:
    make_table('"Odd ""Seats"', '"the hall" text, number int, primary key (number, "the hall")', policy="true")
    owner.execute("""insert into "Odd ""Seats" values ('1,2', -3)""")
    assert await obstacles('Odd "Seats', "-3", "1,2") == []
    with pytest.raises(CannotExplain, match=r"is \(number, the hall\): give a value for each, not 1"):
        await steps('Odd "Seats', "3")
    with pytest.raises(CannotExplain, match=r'^\(x, 3\) is no key of Odd "Seats: .*integer: "x"$'):
        await steps('Odd "Seats', "x", "3")
