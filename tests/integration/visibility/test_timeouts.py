"""Checks that take too long, wait for locks or cannot be run do not hold up others."""

import asyncio
from typing import Any

import psycopg
import pytest

from ayb_realtime import visibility
from ayb_realtime.hub.delivering import planning
from ayb_realtime.identity import AUTHENTICATED_ROLE
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.postgres import database, tables
from ayb_realtime.visibility import narrowing
from ayb_realtime.visibility.watchdog import Watchdog
from ayb_realtime.wire.records import Row
from tests.integration.scenario import MakeTable, Owner, World, person, until_table_is_waited_for
from tests.integration.visibility.conftest import checking, seen, sent


async def test_sleeping_policy_costs_only_its_own_identities(
    owner: Owner, make_table: MakeTable, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 0.2}
    slow = "case when current_setting('ayb.user_id') = '5' then pg_sleep(60) is null else true end"
    make_table("notes", "id int primary key", policy=slow)
    owner.execute("insert into notes values (1)")
    people = [person(n) for n in range(8)]
    async with checking("notes") as (connection, table):
        answers = await visibility.check(connection, table, {1: Row('{"id":1}')}, people)
    assert answers.by_identity == {each: {1: None} for each in people if each != person(5)}
    assert "did not say what 1 identities may see" in caplog.text


async def test_check_that_takes_long_for_its_size_alone_answers_all_identities(
    owner: Owner, make_table: MakeTable, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More than the time limit for failures, with each part well within its own limit.
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 0.4}
    monkeypatch.setattr(narrowing, "MOST_PAIRS", 2)
    make_table("notes", "id int primary key", policy="pg_sleep(0.05) is not null")
    owner.execute("insert into notes values (1)")
    people = [person(n) for n in range(50)]
    async with checking("notes") as (connection, table):
        answers = await visibility.check(connection, table, {1: Row('{"id":1}')}, people)
    assert answers.by_identity == {each: {1: None} for each in people}


async def test_table_that_cannot_be_checked_holds_up_no_other(world: World) -> None:
    world.table("notes", "id int primary key", policy="true")
    world.table("others", "id int primary key", policy="true")
    (definition,) = world.write(
        "select pg_get_functiondef('ayb_realtime.make_check_function_v1'::regproc)"
    ).fetchone() or ("",)
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        world.write("insert into notes values (1)")
        assert (await stream.next_change())["record"] == {"id": 1}
        world.write(
            "create or replace function ayb_realtime.make_check_function_v1(relation oid, role name) returns text"
            " language plpgsql as $$ begin raise insufficient_privilege; end $$"
        )
        try:
            unserved = await world.stream(person(2), "others")
            world.write("insert into others values (1); insert into notes values (2)")
            assert (await stream.next_change())["record"] == {"id": 2}
            assert (await unserved.next()).json()["tables"] == ["others"]
        finally:
            world.write(definition)


async def test_each_of_several_that_sleep_is_found_without_halving(
    owner: Owner, make_table: MakeTable, settings: Any
) -> None:
    # Halving would take more time than is left.
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 2}
    sleeps = "current_setting('ayb.user_id')::int % 11 = 5"
    make_table("notes", "id int primary key", policy=f"case when {sleeps} then pg_sleep(60) is null else true end")
    owner.execute("insert into notes values (1)")
    people = [person(n) for n in range(64)]
    async with checking("notes") as (connection, table):
        answers = await visibility.check(connection, table, {1: Row('{"id":1}')}, people)
    assert answers.by_identity == {each: {1: None} for n, each in enumerate(people) if n % 11 != 5}


async def test_stream_without_an_answer_is_told_to_fetch_again_and_others_go_on(world: World, settings: Any) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 0.2}
    slow = "case when current_setting('ayb.user_id') = '5' then pg_sleep(60) is null else true end"
    world.table("notes", "id int primary key", policy=slow)
    async with world.relaying():
        culprit = await world.stream(person(5), "notes")
        stream = await world.stream(person(6), "notes")
        world.write("insert into notes values (1)")
        assert (await stream.next_change())["record"] == {"id": 1}
        assert (await culprit.next()).event == "reset"


async def test_lock_on_the_table_delays_changes_and_loses_none(world: World, database_url: str, settings: Any) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 30}
    world.table("notes", "id int primary key", policy="true")
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        with psycopg.connect(database_url) as migration:
            migration.execute("insert into notes values (1)")
            migration.commit()
            migration.execute("lock table notes in access exclusive mode")
            waiting = asyncio.create_task(stream.next_change())
            await until_table_is_waited_for(world.owner, "notes")
            assert not waiting.done()
        assert (await waiting)["record"] == {"id": 1}


async def test_time_limit_of_suspects_is_not_left_to_other_statements(
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
    # A pooler in transaction mode gives its clients a process id that does not exist.
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", 0)
    connect, attempts = database.connect, []

    async def connect_second(name: str) -> psycopg.AsyncConnection[Any]:
        attempts.append(name)
        if len(attempts) != 2:
            raise psycopg.OperationalError("sorry, too many clients already")
        return await connect(name)

    async with database.pool() as pool, pool.connection() as connection:
        await connection.execute("begin")
        await visibility.configure(connection)
        monkeypatch.setattr(database, "connect", connect_second)
        with pytest.raises(psycopg.OperationalError):
            async with asyncio.timeout(30), Watchdog(connection, 0.1, alone=True):
                await connection.execute("select pg_sleep(60)")
        assert connection.closed


async def test_run_that_is_too_slow_at_once_is_asked_in_parts(
    owner: Owner, make_table: MakeTable, settings: Any
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 1.5}
    make_table("notes", "id int primary key", policy="pg_sleep(0.2) is not null")
    owner.execute("insert into notes select generate_series(1, 9)")
    assert await seen("notes", [person(1)]) == [dict.fromkeys(range(1, 10))]


async def test_checker_is_made_while_another_session_holds_an_advisory_lock(
    owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key", policy="true")
    owner.execute("insert into notes values (1)")
    owner.execute("select pg_advisory_lock(hashtext('ayb_realtime'), hashtext('checker'))")
    async with asyncio.timeout(30):
        assert await seen("notes", [person(1)]) == [{1: None}]


@pytest.mark.parametrize("locked", ["notes", "notes_1", "members"])
async def test_table_that_a_migration_has_locked_keeps_no_other_table_waiting(
    owner: Owner, make_table: MakeTable, database_url: str, locked: str
) -> None:
    make_table("members", "note int primary key", enable=False)
    owner.execute(f"grant select on members to {AUTHENTICATED_ROLE}; insert into members values (1)".encode())
    make_table(
        "notes",
        "id int primary key",
        suffix="partition by list (id)",
        policy="exists (select from members m where m.note = notes.id)",
    )
    owner.execute("create table notes_1 partition of notes for values in (1); insert into notes values (1)")
    make_table("others", "id int primary key")
    owner.execute("insert into others values (1)")
    async with database.pool() as pool:
        async with pool.connection() as connection:
            streamed = {table.name: table for table in await tables.streamed(connection)}
            relations = {name: table.relation for name, table in streamed.items()}
        changes = [
            Change(1, relations["notes"], Action.CREATE, '{"id":1}'),
            Change(2, relations["others"], Action.CREATE, '{"id":1}'),
        ]
        plans = []
        for who in (person(1), person(2)):
            # The first check reads what it needs to know about the tables.
            whom = {relations["notes"]: [who], relations["others"]: [person(3)]}
            with psycopg.connect(database_url) as migration:
                migration.execute(f"lock table {locked} in access exclusive mode".encode())
                plans.append(await asyncio.wait_for(planning.plan_delivery(pool, changes, whom), 30))
    # The streams of that table end, and their clients resume.
    assert [each.endings for each in plans] == [{relations["notes"]: {person(n)}} for n in (1, 2)]
    for each in plans:
        assert b'"table":"others"' in await sent(each, person(3), [streamed["others"]])
