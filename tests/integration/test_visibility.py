"""Visibility: what is sent is what Postgres shows to each identity, at the moment it is asked."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from channels.layers import BaseChannelLayer
from django.db import connections
from psycopg import sql

from ayb_realtime import visibility
from ayb_realtime.exceptions import CatalogChanged, RoleRefused
from ayb_realtime.hub.hub import Hub
from ayb_realtime.identity import AUTHENTICATED_ROLE, Identity
from ayb_realtime.postgres import database
from ayb_realtime.postgres.tables import Table, streamed
from ayb_realtime.visibility import as_identity, narrowing
from ayb_realtime.visibility.quarantine import quarantine
from ayb_realtime.visibility.watchdog import Watchdog
from ayb_realtime.wire.records import Row
from tests.integration.scenario import OWN, MakeTable, Owner, open_stream, person, relaying, subscribed

LOGGED = """
select record::text from ayb_realtime.change join pg_class on pg_class.oid = relation
 where relname = %s and action in ('create', 'update') order by id
"""


async def seen(table: str, identities: Sequence[Identity]) -> list[dict[int, str | None]]:
    """Check everything that the log holds of a table, as if it were new; return what each identity sees by position."""
    async with await database.connect("default") as reader:
        logged = await (await reader.execute(LOGGED, [table])).fetchall()
    rows = {place: Row(record) for place, (record,) in enumerate(logged, 1)}
    async with checking(table) as (connection, target):
        answer = await visibility.check(connection, target, rows, identities)
        return [dict(answer[identity]) for identity in identities]


@asynccontextmanager
async def checking(table: str) -> AsyncIterator[tuple[visibility.Connection, Table]]:
    """Prepare a transaction to check a table in."""
    async with database.pool() as pool, pool.connection() as connection, connection.transaction():
        await visibility.prepare(connection)
        yield connection, next(each for each in await streamed(connection) if each.name == table)


async def test_owner_policy_shows_each_their_own_rows(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author text", policy=OWN)
    owner.execute("insert into notes values (1, '1'), (2, '2'), (3, '1')")
    assert await seen("notes", [person(1), person(2), person(3)]) == [{1: None, 3: None}, {2: None}, {}]


async def test_row_that_changed_since_it_was_logged_comes_as_it_is_now(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author text, body text", policy=OWN)
    owner.execute("insert into notes values (1, '1', 'for nobody else')")
    owner.execute("update notes set author = '2', body = 'for two'")
    now = '{"id":1,"author":"2","body":"for two"}'
    assert await seen("notes", [person(1), person(2)]) == [{}, {1: now, 2: None}]


async def test_row_that_is_gone_is_not_seen(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author text", policy=OWN)
    owner.execute("insert into notes values (1, '1')")
    owner.execute("delete from notes")
    assert await seen("notes", [person(1)]) == [{}]


async def test_failing_policy_silences_only_those_it_fails_for(
    owner: Owner, make_table: MakeTable, caplog: pytest.LogCaptureFixture
) -> None:
    make_table("notes", "id int primary key, author int", policy="author = current_setting('ayb.user_id')::int")
    owner.execute("insert into notes values (1, 7)")
    assert await seen("notes", [person(7), person("no number"), person(7.5), person(8)]) == [{1: None}, {}, {}, {}]
    assert "notes: the policies failed for 2 identities" in caplog.text
    assert "no number" not in caplog.text


async def test_policy_that_leaves_another_role_behind_shows_nothing(owner: Owner, make_table: MakeTable) -> None:
    leaves = "set_config('role', 'none', true) = 'none'"
    policy = f"case when current_setting('ayb.user_id') = '1' then {leaves} else true end"
    make_table("notes", "id int primary key", policy=policy)
    owner.execute("insert into notes values (1)")
    assert await seen("notes", [person(1), person(2)]) == [{}, {1: None}]


async def test_policy_that_changes_the_settings_changes_them_for_nobody_else(
    owner: Owner, make_table: MakeTable
) -> None:
    policy = f"set_config('ayb.user_id', current_setting('ayb.user_id'), false) is not null and {OWN}"
    make_table("notes", "id int primary key, author text", policy=policy)
    owner.execute("insert into notes values (1, '1'), (2, '2')")
    assert await seen("notes", [person(1), person(2), person(3)]) == [{1: None}, {2: None}, {}]


async def test_setting_that_only_another_identity_has_is_empty(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, org text", policy="org = current_setting('ayb.org', true)")
    owner.execute("insert into notes values (1, 'acme')")
    member = Identity(AUTHENTICATED_ROLE, (("ayb.org", "acme"), ("ayb.user_id", "1")))
    assert await seen("notes", [member, person(2), member]) == [{1: None}, {}, {1: None}]


async def test_sleeping_policy_costs_only_its_own_identities(
    owner: Owner, make_table: MakeTable, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 0.2}
    slow = "case when current_setting('ayb.user_id') = '5' then pg_sleep(60) is null else true end"
    make_table("notes", "id int primary key", policy=slow)
    owner.execute("insert into notes values (1)")
    people = [person(n) for n in range(8)]
    async with checking("notes") as (connection, table):
        answer = await visibility.check(connection, table, {1: Row('{"id":1}')}, people)
    assert answer == {each: {1: None} for each in people if each != person(5)}
    assert "did not say what 1 identities may see" in caplog.text


async def test_check_that_takes_long_for_its_size_alone_answers_everybody(
    owner: Owner, make_table: MakeTable, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More than the patience with failures, and each part well within the time for it.
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 0.4}
    monkeypatch.setattr(narrowing, "MOST_PAIRS", 2)
    make_table("notes", "id int primary key", policy="pg_sleep(0.05) is not null")
    owner.execute("insert into notes values (1)")
    people = [person(n) for n in range(50)]
    async with checking("notes") as (connection, table):
        answer = await visibility.check(connection, table, {1: Row('{"id":1}')}, people)
    assert answer == {each: {1: None} for each in people}


@pytest.mark.parametrize(
    "statements",
    [
        "alter table notes add number uuid default gen_random_uuid()",
        "alter table notes alter id type bigint",
        "truncate notes; insert into notes values (1)",
        "alter table notes rename to former; alter table others rename to notes",
        "alter table notes rename to former; create table notes (id int primary key)",
    ],
)
async def test_table_that_became_another_since_the_snapshot_is_asked_about_in_a_new_one(
    owner: Owner, make_table: MakeTable, statements: str
) -> None:
    make_table("notes", "id int primary key", policy="true")
    make_table("others", "id int primary key", policy="true")
    owner.execute("insert into notes values (1)")
    owner.execute("insert into others values (1)")
    async with checking("notes") as (connection, table):
        assert await visibility.check(connection, table, {1: Row('{"id":1}')}, [person(1)]) == {person(1): {1: None}}
    try:
        async with checking("notes") as (connection, table):
            owner.execute(statements.encode())
            with pytest.raises(CatalogChanged):
                await visibility.check(connection, table, {1: Row('{"id":1}')}, [person(1)])
    finally:
        owner.execute("drop table if exists former cascade")


async def test_names_that_would_end_a_quotation_are_names(owner: Owner, make_table: MakeTable) -> None:
    odd = """$body$; ' \\ $source$ $$ %1$s %s " --"""
    name = sql.Identifier(odd).as_string()
    make_table(name, f"{name} int primary key, author text", policy=OWN)
    owner.execute(f"insert into {name} values (1, '1'), (2, '2')".encode())
    assert await seen(odd, [person(1), person(2)]) == [{1: None}, {2: None}]


async def test_operator_that_somebody_put_in_the_way_is_not_called(owner: Owner, make_table: MakeTable) -> None:
    owner.execute("create function no(varchar, varchar) returns boolean language plpgsql as 'begin return true; end'")
    owner.execute("create operator = (function = no, leftarg = varchar, rightarg = varchar)")
    try:
        make_table("notes", "id varchar primary key", policy="true")
        owner.execute("insert into notes values ('a'), ('b')")
        assert await seen("notes", [person(1)]) == [{1: None, 2: None}]
    finally:
        owner.execute("drop table notes cascade; drop function no cascade")


EVILS = {
    "catches its timeout": "begin perform pg_sleep(60); exception when query_canceled then loop end loop; end",
    "loops": "loop end loop",
    "waits for a lock": "perform pg_advisory_xact_lock(4711)",
    "writes": "insert into notes values (99)",
    "locks the table": "lock table notes in access exclusive mode",
    "takes another role": "perform set_config('role', 'none', false)",
    "raises": "raise exception 'no'",
    "ends its session": "perform pg_terminate_backend(pg_backend_pid())",
}


@pytest.mark.parametrize("evil", list(EVILS))
async def test_whatever_a_policy_does_for_one_the_others_are_served(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    owner: Owner,
    make_table: MakeTable,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
    evil: str,
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 1}
    make_table("notes", "id int primary key", enable=False)
    owner.execute(
        "create function evil() returns boolean language plpgsql as $$ begin"
        f" if current_setting('ayb.user_id') = '5' then {EVILS[evil]}; end if; return true; end $$".encode()
    )
    owner.execute("create policy p on notes using (evil())")
    owner.execute("alter table notes enable row level security; select ayb_realtime.enable_v1('notes')")
    try:
        owner.execute("select pg_advisory_lock(4711)")
        async with relaying(memory_layer):
            streams = [await open_stream(the_hub, person(n), "notes") for n in range(5)]
            culprit = await subscribed(the_hub, person(5), "notes")
            streams += [await open_stream(the_hub, person(n), "notes") for n in range(6, 10)]
            for row_id in (1, 2):
                owner.execute("insert into notes values (%s)", [row_id])
                for stream in streams:
                    assert (await stream.next_change())["record"] == {"id": row_id}
            # Others of the same identity: it is asked by itself, and then is not asked.
            culprits = [culprit]
            for row_id in (3, 4):
                culprits.append(await subscribed(the_hub, person(5), "notes"))
                owner.execute("insert into notes values (%s)", [row_id])
                for stream in streams:
                    assert (await stream.next_change())["record"] == {"id": row_id}
        assert not any(each.ended for each in culprits)
        told = b"".join(chunk for each in culprits for chunk in each._chunks)
        assert b"create" not in told
        assert (b"event: reset" in told) == ("the policies failed" not in caplog.text)
        trusted = quarantine.partition(culprit.tables[0].relation, [person(5)]).trusted
        assert (trusted == []) == (b"event: reset" in told)
    finally:
        owner.execute("drop table notes; drop function evil; select pg_advisory_unlock_all()")


async def test_policy_that_does_not_let_go_for_one_of_many_is_found_in_time(
    owner: Owner, make_table: MakeTable, settings: Any
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 0.6}
    owner.execute(
        "create function evil() returns boolean language plpgsql as $$ begin"
        f" if current_setting('ayb.user_id') = '0' then {EVILS['catches its timeout']}; end if; return true; end $$"
    )
    make_table("notes", "id int primary key", policy="evil()")
    owner.execute("insert into notes values (1)")
    people = [person(n) for n in range(64)]
    async with checking("notes") as (connection, table):
        answer = await visibility.check(connection, table, {1: Row('{"id":1}')}, people, isolate=True)
    # On a slow machine it may be found no further than to its neighbours.
    assert all(answer.get(person(n)) == {1: None} for n in range(16, 64))
    assert person(0) not in answer
    owner.execute("drop table notes; drop function evil()")


async def test_table_that_cannot_be_checked_holds_up_no_other(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key", policy="true")
    make_table("others", "id int primary key", policy="true")
    (definition,) = owner.execute("select pg_get_functiondef('ayb_realtime.make_checker_v1'::regproc)").fetchone() or (
        "",
    )
    async with relaying(memory_layer):
        stream = await open_stream(the_hub, person(1), "notes")
        owner.execute("insert into notes values (1)")
        assert (await stream.next_change())["record"] == {"id": 1}
        owner.execute(
            "create or replace function ayb_realtime.make_checker_v1(relation oid, role name) returns text"
            " language plpgsql as $$ begin raise insufficient_privilege; end $$"
        )
        try:
            unserved = await open_stream(the_hub, person(2), "others")
            owner.execute("insert into others values (1); insert into notes values (2)")
            assert (await stream.next_change())["record"] == {"id": 2}
            assert (await unserved.next()).json()["tables"] == ["others"]
        finally:
            owner.execute(definition.encode())


async def test_each_of_several_that_sleep_is_found_without_halving(
    owner: Owner, make_table: MakeTable, settings: Any
) -> None:
    # To halve would take more time than there is.
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 1}
    sleeps = "current_setting('ayb.user_id')::int % 11 = 5"
    make_table("notes", "id int primary key", policy=f"case when {sleeps} then pg_sleep(60) is null else true end")
    owner.execute("insert into notes values (1)")
    people = [person(n) for n in range(64)]
    async with checking("notes") as (connection, table):
        answer = await visibility.check(connection, table, {1: Row('{"id":1}')}, people)
    assert answer == {each: {1: None} for n, each in enumerate(people) if n % 11 != 5}


async def test_stream_without_an_answer_is_told_to_fetch_again_and_others_go_on(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable, settings: Any
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 0.2}
    slow = "case when current_setting('ayb.user_id') = '5' then pg_sleep(60) is null else true end"
    make_table("notes", "id int primary key", policy=slow)
    async with relaying(memory_layer):
        culprit = await open_stream(the_hub, person(5), "notes")
        stream = await open_stream(the_hub, person(6), "notes")
        owner.execute("insert into notes values (1)")
        assert (await stream.next_change())["record"] == {"id": 1}
        assert (await culprit.next()).event == "reset"


async def test_lock_on_the_table_delays_changes_and_loses_none(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    owner: Owner,
    make_table: MakeTable,
    database_url: str,
    settings: Any,
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 30}
    make_table("notes", "id int primary key", policy="true")
    async with relaying(memory_layer):
        stream = await open_stream(the_hub, person(1), "notes")
        with psycopg.connect(database_url) as migration:
            migration.execute("insert into notes values (1)")
            migration.commit()
            migration.execute("lock table notes in access exclusive mode")
            waiting = asyncio.create_task(stream.next_change())
            blocked = "select exists (select from pg_locks where not granted and relation = 'notes'::regclass)"
            while not (owner.execute(blocked).fetchone() or [False])[0]:
                await asyncio.to_thread(owner.execute, "select pg_sleep(0.01)")
            assert not waiting.done()
        assert (await waiting)["record"] == {"id": 1}


async def test_security_off_shows_all_rows_to_whoever_may_select(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    owner.execute("insert into notes values (1), (2)")
    assert await seen("notes", [person(1), person(2)]) == [{1: None, 2: None}] * 2


async def test_missing_privilege_shows_nothing(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    owner.execute("insert into notes values (1)")
    owner.execute("revoke select on notes from ayb_authenticated")
    assert await seen("notes", [person(1)]) == [{}]


async def test_role_that_policies_do_not_hold_is_apart_from_those_that_may_select(
    owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    (name,) = owner.execute("select rolname from pg_roles where oid = 10").fetchone() or ("",)
    superuser, stranger = Identity(name, ()), Identity("ayb_anonymous", ())
    async with checking("notes") as (connection, table):
        asked = [superuser, stranger, person(1)]
        readers, refused = await visibility.may_select(connection, table, asked)
        assert (list(readers), list(refused)) == ([person(1)], [superuser])


async def test_role_that_may_not_be_set_gets_no_answer(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key", policy="true")
    owner.execute("insert into notes values (1)")
    async with checking("notes") as (connection, table):
        nobody = Identity("no_such_role", ())
        readers, refused = await visibility.may_select(connection, table, [nobody, person(1)])
        assert (list(readers), list(refused)) == ([person(1)], [nobody])


async def test_hub_whose_user_may_not_act_as_subscribers_says_what_to_run(database_url: str, owner: Owner) -> None:
    owner.execute("create role bystander login password 'bystander'; grant usage on schema ayb_realtime to bystander")
    try:
        stranger = psycopg.conninfo.make_conninfo(database_url, user="bystander", password="bystander")
        async with await psycopg.AsyncConnection.connect(stranger) as connection:
            with pytest.raises(RoleRefused, match="GRANT ayb_authenticated TO bystander"):
                await visibility.check_role(connection, AUTHENTICATED_ROLE)
    finally:
        owner.execute("revoke usage on schema ayb_realtime from bystander; drop role bystander")


async def test_what_a_policy_caches_in_a_setting_reaches_nobody_else(owner: Owner, make_table: MakeTable) -> None:
    for is_local in ("true", "false"):
        owner.execute(
            "create or replace function team() returns text language plpgsql stable as $$ begin"
            " if coalesce(current_setting('app.team', true), '') = '' then"
            f"  perform set_config('app.team', 'team' || current_setting('ayb.user_id'), {is_local});"
            " end if; return current_setting('app.team'); end $$"
        )
        name = f"notes_{is_local}"
        make_table(name, "id int primary key, team text", policy="team = team()")
        owner.execute(f"insert into {name} values (1, 'team1'), (2, 'team2')".encode())
        assert await seen(name, [person(1), person(2), person(3)]) == [{1: None}, {2: None}, {}]
        assert await seen(name, [person(2), person(1)]) == [{2: None}, {1: None}]
        owner.execute(f"drop table {name}".encode())
    owner.execute("drop function team()")


async def test_policy_that_raises_what_the_check_raises_shows_nothing(owner: Owner, make_table: MakeTable) -> None:
    owner.execute(
        "create function fails() returns boolean language plpgsql stable as $$ begin"
        " if current_setting('ayb.user_id') = '2' then raise exception using errcode = 'AYB00'; end if;"
        " return true; end $$"
    )
    make_table("notes", "id int primary key", policy="fails()")
    owner.execute("insert into notes values (1)")
    assert await seen("notes", [person(1), person(2)]) == [{1: None}, {}]
    owner.execute("drop table notes; drop function fails()")


async def test_policy_that_changes_its_mind_between_two_queries_holds_up_nobody(
    owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key", policy="random() < 0.5")
    owner.execute("insert into notes select generate_series(1, 50)")
    for shown in await seen("notes", [person(1), person(2)]):
        assert 0 < len(shown) < 50


async def test_policy_that_fails_on_one_row_shows_the_others(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author text", policy="author::int = current_setting('ayb.user_id')::int")
    owner.execute("insert into notes values (0, 'x')")
    owner.execute("insert into notes select n, '1' from generate_series(1, 20) n")
    mine = dict.fromkeys(range(2, 22))
    assert await seen("notes", [person(1), person(2)]) == [mine, {}]
    async with checking("notes") as (connection, table):
        lone = {7: Row('{"id":7,"author":"1"}')}
        assert await visibility.check(connection, table, lone, [person(1)]) == {person(1): {7: None}}


async def test_time_for_those_under_suspicion_is_nobody_elses(
    owner: Owner, make_table: MakeTable, settings: Any
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 0.4}
    slow = "case when current_setting('ayb.user_id') = '7' then pg_sleep(60) is null else true end"
    make_table("notes", "id int primary key", policy=slow)
    owner.execute("insert into notes values (1)")
    async with checking("notes") as (connection, table):
        await visibility.check(connection, table, {1: Row('{"id":1}')}, [person(n) for n in range(8)])
        assert await (await connection.execute("show statement_timeout")).fetchone() == ("400ms",)


async def test_check_is_ended_behind_a_proxy_and_at_the_second_attempt(
    owner: Owner, make_table: MakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A proxy in transaction mode tells its clients a process id that is none.
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", 0)
    connect, attempts = database.connect, []

    async def fail_once(name: str) -> psycopg.AsyncConnection[Any]:
        attempts.append(name)
        if len(attempts) == 1:
            raise psycopg.OperationalError("sorry, too many clients already")
        return await connect(name)

    async with database.pool() as pool, pool.connection() as connection:
        await visibility.prepare(connection)
        monkeypatch.setattr(database, "connect", fail_once)
        with pytest.raises(psycopg.OperationalError):
            async with asyncio.timeout(30), Watchdog(connection, 0.1, alone=True):
                await connection.execute("select pg_sleep(60)")
    assert len(attempts) == 2


async def test_hub_whose_user_has_only_the_subscribers_role_checks_a_table_in_their_schema(
    database_url: str, owner: Owner, make_table: MakeTable
) -> None:
    has_set = owner.info.server_version >= 160000
    owner.execute("create role visitor login noinherit password 'visitor'")
    owner.execute(f"grant ayb_authenticated to visitor {'with set true, inherit false' if has_set else ''}".encode())
    owner.execute("grant usage on schema ayb_realtime to visitor; create schema sales")
    owner.execute("grant select on all tables in schema ayb_realtime to visitor")
    # As careful administrators have it.
    owner.execute("alter default privileges revoke execute on functions from public")
    try:
        make_table("sales.notes", "id int primary key, author text", policy=OWN)
        visitor = psycopg.conninfo.make_conninfo(database_url, user="visitor", password="visitor")
        async with await psycopg.AsyncConnection.connect(visitor) as connection:
            await database.read_one_snapshot(connection)
            await visibility.prepare(connection)
            (table,) = [each for each in await streamed(connection) if each.name == "notes"]
            owner.execute("insert into sales.notes values (1, '1')")
        async with await psycopg.AsyncConnection.connect(visitor) as connection:
            await database.read_one_snapshot(connection)
            await visibility.prepare(connection)
            row = {1: Row('{"id":1,"author":"1"}')}
            answer = await visibility.check(connection, table, row, [person(1), person(2)])
        assert [answer[who] for who in (person(1), person(2))] == [{1: None}, {}]
        assert not answer.unanswered
    finally:
        owner.execute("alter default privileges grant execute on functions to public")
        owner.execute("drop schema sales cascade; revoke all on all tables in schema ayb_realtime from visitor")
        owner.execute("revoke usage on schema ayb_realtime from visitor; drop role visitor")


async def test_run_that_is_too_slow_at_once_is_asked_in_parts(
    owner: Owner, make_table: MakeTable, settings: Any
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 1.5}
    make_table("notes", "id int primary key", policy="pg_sleep(0.2) is not null")
    owner.execute("insert into notes select generate_series(1, 9)")
    assert await seen("notes", [person(1)]) == [dict.fromkeys(range(1, 10))]


@pytest.mark.parametrize(
    ("key_type", "value"),
    [
        ("bigint", "9007199254740993"),
        ("integer", "-1"),
        ("uuid", "9e107d9d-372b-4bb8-9a2b-1d3d2f1b0c5a"),
        ("text", 'a "quoted" \\ key\n, é 🙂'),
        ("varchar(10)", "ten chars."),
        ("char(10)", "ten chars."),
        ("char(12)", "ten chars."),
        ("bit(8)", "10101010"),
        ("date", "2026-02-28"),
        ("timestamptz", "2026-02-28 12:00:00.123456+02"),
        ("numeric", "12345678901234567890.0123456789"),
        ("bytea", "\\x00ff"),
        ("boolean", "true"),
        ("double precision", "0.1"),
        ("text[]", '{a,"b c",NULL}'),
        ("jsonb", '{"a": [1, 2.50]}'),
        ("int4range", "[1,5)"),
    ],
)
async def test_key_of_each_type_finds_its_row(owner: Owner, make_table: MakeTable, key_type: str, value: str) -> None:
    make_table("notes", f"id {key_type} primary key, author text", policy=OWN)
    owner.execute(f"insert into notes values (%s::{key_type}, '1')".encode(), [value])
    assert await seen("notes", [person(1), person(2)]) == [{1: None}, {}]


async def test_key_is_compared_as_its_index_does(owner: Owner, make_table: MakeTable) -> None:
    # For a varchar somebody may have made a better match than the equality of text.
    owner.execute("create schema elsewhere; create type elsewhere.kind as enum ('a', 'b')")
    try:
        make_table("notes", "id varchar(10), kind elsewhere.kind, author text, primary key (id, kind)", policy=OWN)
        owner.execute("insert into notes values ('x', 'a', '1'), ('x', 'b', '1')")
        owner.execute(
            "create function evil(varchar, varchar) returns boolean language plpgsql"
            " as $$ begin raise exception 'for %', current_user; end $$;"
            "create operator public.= (leftarg = varchar, rightarg = varchar, function = evil)"
        )
        assert await seen("notes", [person(1), person(2)]) == [{1: None, 2: None}, {}]
    finally:
        owner.execute("drop function if exists evil cascade; drop schema elsewhere cascade")


async def test_policy_that_changes_how_rows_are_written_changes_it_for_nobody_else(
    owner: Owner, make_table: MakeTable
) -> None:
    zone = "case current_setting('ayb.user_id') when '1' then 'Asia/Tokyo' else 'UTC' end"
    make_table(
        "notes", "id int primary key, at timestamptz", policy=f"set_config('timezone', {zone}, true) is not null"
    )
    owner.execute("insert into notes values (1, '2026-02-07 22:00:00Z')")
    assert await seen("notes", [person(1), person(2)]) == [{}, {1: None}]


async def test_key_without_overlaps_finds_its_row(owner: Owner, make_table: MakeTable) -> None:
    kind = " without overlaps" if owner.info.server_version >= 180000 else ""  # Before, it is a key as others are.
    make_table("stays", f"room int4range, at int4range, author text, primary key (room, at{kind})", policy=OWN)
    owner.execute("insert into stays values ('[1,1]', '[1,5)', '1'), ('[1,1]', '[5,9)', '2')")
    owner.execute("update stays set at = '[2,5)' where author = '1'")
    assert await seen("stays", [person(1), person(2)]) == [{3: None}, {2: None}]


async def test_function_is_made_while_somebody_holds_an_advisory_lock(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key", policy="true")
    owner.execute("insert into notes values (1)")
    owner.execute("select pg_advisory_lock(hashtext('ayb_realtime'), hashtext('checker'))")
    async with asyncio.timeout(30):
        assert await seen("notes", [person(1)]) == [{1: None}]


async def test_composite_key_in_another_order_and_odd_names_find_their_rows(
    owner: Owner, make_table: MakeTable
) -> None:
    columns = (
        '"record" text, "n" int, "k1" int, "a ""b" text, t text, ayb_realtime_row text, '
        'author text, primary key ("a ""b", "k1", "n")'
    )
    make_table('"Odd ""Table"', columns, policy=OWN)
    owner.execute(
        """insert into "Odd ""Table" values ('r', 1, 2, 'x', 't', 'w', '1'), ('r', 2, 2, 'x', 't', 'w', '2')"""
    )
    assert await seen('Odd "Table', [person(1), person(2)]) == [{1: None}, {2: None}]


async def test_name_cannot_end_the_function_that_it_is_written_into(owner: Owner, make_table: MakeTable) -> None:
    name = "$body$ set check_function_bodies = off; select 1 $outer$ ' \\"
    make_table("notes", f'"{name}" int primary key, author text', policy=OWN)
    owner.execute("insert into notes values (1, '1'), (2, '2')")
    assert await seen("notes", [person(1), person(2)]) == [{1: None}, {2: None}]


async def test_membership_counts_from_the_next_event_on(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("members", "team int, person text, primary key (team, person)", enable=False)
    make_table(
        "notes",
        "id int primary key, team int",
        policy="exists (select from members m where m.team = notes.team and m.person = current_setting('ayb.user_id'))",
    )
    owner.execute("grant select on members to ayb_authenticated")
    async with relaying(memory_layer):
        stream = await open_stream(the_hub, person(1), "notes")
        owner.execute("insert into notes values (1, 1)")
        owner.execute("delete from notes")
        assert (await stream.next_change())["action"] == "delete"
        owner.execute("insert into members values (1, '1')")
        owner.execute("insert into notes values (2, 1)")
        assert (await stream.next_change())["record"]["id"] == 2
        owner.execute("delete from members")
        owner.execute("insert into notes values (3, 1)")
        owner.execute("delete from notes where id = 3")
        assert await stream.next_change() == {"action": "delete", "table": "notes", "record": {"id": 3}}


async def test_policy_sees_the_email_and_the_role(owner: Owner, make_table: MakeTable) -> None:
    policy = "author = current_setting('ayb.user_email') and current_user = 'ayb_authenticated'"
    make_table("notes", "id int primary key, author text", policy=policy)
    owner.execute("insert into notes values (1, '1@example.com')")
    assert await seen("notes", [person(1), person(2)]) == [{1: None}, {}]


async def test_nothing_outlasts_the_check(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author text", policy=OWN)
    owner.execute("insert into notes values (1, '1')")
    async with database.pool() as pool, pool.connection() as connection:
        before = await (await connection.execute("select current_user")).fetchone()
        async with connection.transaction():
            await visibility.prepare(connection)
            table = next(each for each in await streamed(connection) if each.name == "notes")
            await visibility.check(connection, table, {1: Row('{"id":1,"author":"1"}')}, [person(1)])
            assert await (await connection.execute("select current_user")).fetchone() == before
        after = await connection.execute("select current_user, current_setting('ayb.user_id', true)")
        assert await after.fetchone() == (*(before or ()), "")


def test_block_as_identity_reads_what_the_stream_would_show(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author text", policy=OWN)
    owner.execute("insert into notes values (1, '1'), (2, '2')")
    with as_identity(person(2)), connections["default"].cursor() as cursor:
        cursor.execute("select id from notes")
        assert cursor.fetchall() == [(2,)]
    with connections["default"].cursor() as cursor:
        cursor.execute("select id from notes order by id")
        assert cursor.fetchall() == [(1,), (2,)]
        cursor.execute("select current_setting('ayb.user_id', true)")
        assert cursor.fetchone() in {("",), (None,)}
