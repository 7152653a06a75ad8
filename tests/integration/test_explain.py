"""``manage.py realtime_explain``: whatever keeps an event from arriving is said, and nothing else is."""

import asyncio
import os
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from channels.layers import BaseChannelLayer
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connections

from ayb_realtime.diagnostics.explain import Step, explain
from ayb_realtime.exceptions import CannotExplain
from ayb_realtime.identity import ANONYMOUS_ROLE, Identity
from embedded import free_port
from tests.integration.scenario import MakeTable, Owner, person, relaying

OWN = "author = current_setting('ayb.user_id')::int"
NO_RELAY = "No relay leads. "


async def steps(name: str, *key: str, identity: Identity = person(1)) -> list[Step]:  # noqa: B008 - it is frozen
    """Return the steps of a table, or of a row with this key."""
    return [step async for step in explain(identity, name, key or None)]


async def obstacles(name: str, *key: str, identity: Identity = person(1)) -> list[Step]:  # noqa: B008 - likewise
    """Return those steps that an event does not get past, but that there is no relay: most tests have none."""
    found = [step for step in await steps(name, *key, identity=identity) if step.holds is False]
    return [step for step in found if not step.found.startswith(NO_RELAY)]


async def told(name: str, *key: str, identity: Identity = person(1)) -> list[str]:  # noqa: B008 - likewise
    """Return what is said of the policies, and of the row: the steps from row-level security on."""
    found = [step.found for step in await steps(name, *key, identity=identity)]
    first = next(place for place, sentence in enumerate(found) if sentence.startswith("Row-level security"))
    return found[first:]


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


async def test_row_of_somebody_else_names_each_policy_that_is_not_true(owner: Owner, make_table: MakeTable) -> None:
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


async def test_row_that_is_not_there_is_said_so(make_table: MakeTable) -> None:
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


async def test_no_permissive_policy_is_said_so(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key", policy="true")
    owner.execute("alter policy p on notes to ayb_anonymous")
    owner.execute("create policy narrower on notes as restrictive using (true)")
    (step,) = await obstacles("notes")
    assert step.found == (
        "Row-level security is on, and no permissive policy for SELECT applies to ayb_authenticated: it sees no row."
    )
    owner.execute(step.hint.replace("…", "wider", 1).replace("…", "true").encode())
    assert await obstacles("notes") == []


async def test_no_row_security_is_said_so(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    owner.execute("insert into notes values (42)")
    said = await told("notes", "42")
    assert said[0] == "Row-level security is off: a role that may SELECT from public.notes sees every row."
    assert said[-1].startswith("It is visible")


async def test_role_that_no_policy_binds_is_said_so(owner: Owner, make_table: MakeTable) -> None:
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


async def test_forced_row_security_is_said_so(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author int", policy="author = current_setting('ayb.user_id', true)::int")
    owner.execute("insert into notes values (42, 1), (43, 2)")
    owner.execute("alter table notes force row level security")
    said = await told("notes", "42")
    assert said[0].startswith("Row-level security is on and forced: ")
    assert said[-1].startswith("It is visible")
    if owner.info.parameter_status("is_superuser") == "on":
        assert said[2] == "Row (42) is there."
    else:  # A role that policies bind cannot tell "not there" from "not for me".
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
async def test_trigger_that_does_not_fire_is_said_so(
    owner: Owner, make_table: MakeTable, statement: str, state: str
) -> None:
    make_table("notes", "id int primary key", policy="true")
    owner.execute(statement.encode())
    step = (await obstacles("notes"))[0]
    assert step.found == f"public.notes is not streamed: its trigger is {state}."
    if state != "missing":
        owner.execute(step.hint.encode())
        assert await obstacles("notes") == []


async def test_lost_key_is_said_so(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key", policy="true")
    owner.execute("alter table notes drop constraint notes_pkey")
    (step,) = await obstacles("notes", "42")
    assert step.found == "It has no primary key."


async def test_view_is_said_to_have_no_changes(owner: Owner, make_table: MakeTable) -> None:
    owner.execute("create view overview as select 1 as id")
    try:
        (step,) = await obstacles("overview", "1")
        assert step.found == "public.overview is a view: it has no changes of its own."
    finally:
        owner.execute("drop view overview")


async def test_unknown_table_is_refused_with_the_known_ones(database_url: str) -> None:
    with pytest.raises(CannotExplain, match=r"^There is no table 'nope'; .* Streamed are: comments, posts\.$"):
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


@pytest.fixture
def another(another_database: dict[str, Any], settings: Any, database_url: str) -> dict[str, Any]:
    """The settings of another database, which is the one whose tables are streamed."""
    settings.AYB_REALTIME = {"DATABASE": "another"}
    return another_database


async def test_database_that_does_not_answer_is_said_so(another: dict[str, Any]) -> None:
    another.update(HOST="127.0.0.1", PORT=free_port())
    (step,) = await steps("posts")
    assert (step.holds, step.hint) == (False, "Look at DATABASES.")
    assert step.found.startswith("The database 'another' does not answer: ")


async def test_database_that_is_not_migrated_is_said_so(another: dict[str, Any]) -> None:
    another["NAME"] = urlsplit(os.environ["DATABASE_URL"]).path[1:]
    (step,) = await steps("posts")
    assert step == Step(False, "The schema ayb_realtime is not there.", "manage.py migrate")


async def test_no_relay_and_one_are_told_apart(memory_layer: BaseChannelLayer, database_url: str) -> None:
    assert [step.hint for step in await steps("posts") if step.found.startswith(NO_RELAY)] == ["manage.py runrealtime"]
    async with relaying(memory_layer):
        (step,) = [step for step in await steps("posts") if "relay" in step.found]
        assert step.holds
        assert re.match(r"A relay leads, seen \d\.\d s ago\. The log's newest position is \d+; \d+ changes", step.found)


async def test_relay_that_is_stopped_is_said_so(memory_layer: BaseChannelLayer, owner: Owner) -> None:
    owner.execute("select pg_advisory_lock(hashtext('ayb_realtime'), hashtext('leader'))")
    owner.execute("select setval('ayb_realtime.leader_seen', ayb_realtime.milliseconds_v1() - 60000)")
    (step,) = [step for step in await steps("posts") if step.found.startswith("The relay was last seen 6")]
    assert step.holds is False


class TestCommand:
    """The command: who, the steps, one line at the end, and the exit code."""

    @pytest.fixture(autouse=True)
    def _user(self, transactional_db: None) -> None:
        get_user_model().objects.create(email="somebody@example.com")

    async def test_event_that_would_arrive_ends_in_success(
        self,
        memory_layer: BaseChannelLayer,
        owner: Owner,
        make_table: MakeTable,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        make_table("notes", "id int primary key, email text", policy="email = current_setting('ayb.user_email')")
        owner.execute("insert into notes values (42, 'somebody@example.com')")
        async with relaying(memory_layer):
            await asyncio.to_thread(explain_command, "--user", "Somebody@example.com", "--table", "notes", "--pk", "42")
            lines = capsys.readouterr().out.splitlines()
            assert lines[0] == "ok  somebody@example.com is an active user."
            assert lines[-1] == "An event of row (42) of notes would reach Somebody@example.com."
            assert {line[:4] for line in lines[:-1]} == {"ok  ", "    "}
            await asyncio.to_thread(explain_command, "--user", "somebody@example.com", "--table", "notes")
            assert "of those rows that are visible" in capsys.readouterr().out.splitlines()[-1]

    def test_event_that_would_not_arrive_ends_in_failure(
        self, make_table: MakeTable, capsys: pytest.CaptureFixture[str]
    ) -> None:
        make_table("notes", "id int primary key", policy="true")
        with pytest.raises(SystemExit, match="1"):
            explain_command("--user", "somebody@example.com", "--table", "notes", "--pk", "42")
        *_, row, verdict = capsys.readouterr().out.splitlines()
        assert row == "NO  Row (42) is not there. Only its delete can be sent."
        assert verdict.startswith(
            "No event of row (42) of notes would reach somebody@example.com. No relay leads. The log's newest position"
        )
        assert verdict.endswith(" And 1 more, see above.")

    def test_user_who_is_not_active_is_not_let_in(self, capsys: pytest.CaptureFixture[str]) -> None:
        get_user_model().objects.update(is_active=False)
        with pytest.raises(SystemExit, match="1"):
            explain_command("--user", "somebody@example.com", "--table", "posts")
        assert capsys.readouterr().out.startswith("NO  somebody@example.com is not active: ")

    @pytest.mark.parametrize("is_on", [False, True])
    def test_nobody_is_let_in_where_anonymous_streams_are_on(
        self, settings: Any, capsys: pytest.CaptureFixture[str], is_on: bool
    ) -> None:
        settings.AYB_REALTIME = {"ANONYMOUS": is_on}
        with pytest.raises(SystemExit, match="1"):
            explain_command("--anonymous", "--table", "posts")
        output = capsys.readouterr().out
        assert output.startswith(f"{'ok ' if is_on else 'NO '} Anonymous streams are {'on' if is_on else 'off'}")
        assert f"NO  {ANONYMOUS_ROLE} may not SELECT" in output

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--table", "posts"), "one of the arguments --user --anonymous is required"),
            (("--user", "a", "--anonymous", "--table", "posts"), "not allowed with argument"),
            (("--user", "a"), "the following arguments are required: --table"),
            (("--user", "a", "--table", "posts"), "No user has the email or user name 'a'."),
            (("--user", "", "--table", "posts"), "No user has the email or user name ''."),
            (("--user", "somebody@example.com", "--table", "a.b"), "There is no table 'a.b'"),
            (
                ("--user", "somebody@example.com", "--table", "posts", "--pk", "1", "2"),
                "is (id): give a value for each",
            ),
            (("--user", "somebody@example.com", "--table", "posts", "--pk", "x"), "(x) is no key of posts: invalid"),
        ],
    )
    def test_bad_input_is_refused_with_a_sentence(self, arguments: tuple[str, ...], message: str) -> None:
        with pytest.raises(CommandError, match=re.escape(message)):
            explain_command(*arguments)


def explain_command(*arguments: str) -> None:
    """Run the command, and close what it has opened, perhaps in a thread of its own."""
    try:
        call_command("realtime_explain", *arguments)
    finally:
        connections.close_all()
