"""Policies that misbehave harm only their own identities."""

from typing import Any

import pytest

from ayb_realtime import visibility
from ayb_realtime.visibility.quarantine import quarantine
from ayb_realtime.wire.records import Row
from tests.integration.scenario import OWN, MakeTable, Owner, World, person
from tests.integration.visibility.conftest import checking, seen


async def test_policy_that_leaves_another_role_behind_shows_nothing(owner: Owner, make_table: MakeTable) -> None:
    leaves = "set_config('role', 'none', true) = 'none'"
    policy = f"case when current_setting('ayb.user_id') = '1' then {leaves} else true end"
    make_table("notes", "id int primary key", policy=policy)
    owner.execute("insert into notes values (1)")
    assert await seen("notes", [person(1), person(2)]) == [{}, {1: None}]


async def test_policy_that_changes_settings_affects_no_other_identity(owner: Owner, make_table: MakeTable) -> None:
    policy = f"set_config('ayb.user_id', current_setting('ayb.user_id'), false) is not null and {OWN}"
    make_table("notes", "id int primary key, author text", policy=policy)
    owner.execute("insert into notes values (1, '1'), (2, '2')")
    assert await seen("notes", [person(1), person(2), person(3)]) == [{1: None}, {2: None}, {}]


async def test_operator_that_shadows_our_own_is_not_called(owner: Owner, make_table: MakeTable) -> None:
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
    world: World, settings: Any, caplog: pytest.LogCaptureFixture, evil: str
) -> None:
    settings.AYB_REALTIME = {"CHECK_TIMEOUT_SECONDS": 1}
    world.table("notes", "id int primary key", enable=False)
    world.write(
        "create function evil() returns boolean language plpgsql as $$ begin"
        f" if current_setting('ayb.user_id') = '5' then {EVILS[evil]}; end if; return true; end $$"
    )
    world.write("create policy p on notes using (evil())")
    world.write("alter table notes enable row level security; select ayb_realtime.enable_v1('notes')")
    try:
        world.write("select pg_advisory_lock(4711)")
        async with world.relaying():
            streams = [await world.stream(person(n), "notes") for n in range(5)]
            culprit = await world.subscriber(person(5), "notes")
            streams += [await world.stream(person(n), "notes") for n in range(6, 10)]
            for row_id in (1, 2):
                world.write("insert into notes values (%s)", [row_id])
                for stream in streams:
                    assert (await stream.next_change())["record"] == {"id": row_id}
            # Further rows of the same identity: it is asked separately, and then no longer asked.
            culprits = [culprit]
            for row_id in (3, 4):
                culprits.append(await world.subscriber(person(5), "notes"))
                world.write("insert into notes values (%s)", [row_id])
                for stream in streams:
                    assert (await stream.next_change())["record"] == {"id": row_id}
        assert not any(each.ended for each in culprits)
        told = b"".join(chunk for each in culprits for chunk in each._buffer._chunks)
        assert b"create" not in told
        assert (b"event: reset" in told) == ("the policies failed" not in caplog.text)
        trusted = quarantine.partition(culprit.tables[0].relation, [person(5)]).trusted
        assert (trusted == []) == (b"event: reset" in told)
    finally:
        world.write("drop table notes; drop function evil; select pg_advisory_unlock_all()")


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
        answers = await visibility.check(connection, table, {1: Row('{"id":1}')}, people, isolate=True)
    # On a slow machine it may be narrowed down only to itself and its neighbours.
    assert all(answers.visible_to(person(n)) == {1: None} for n in range(16, 64))
    assert person(0) not in answers.by_identity
    owner.execute("drop table notes; drop function evil()")


async def test_setting_that_a_policy_caches_reaches_no_other_identity(owner: Owner, make_table: MakeTable) -> None:
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


async def test_policy_that_differs_between_two_queries_delays_no_other_identity(
    owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key", policy="random() < 0.5")
    owner.execute("insert into notes select generate_series(1, 50)")
    for shown in await seen("notes", [person(1), person(2)]):
        assert 0 < len(shown) < 50


async def test_policy_that_changes_how_rows_are_written_affects_no_other_identity(
    owner: Owner, make_table: MakeTable
) -> None:
    zone = "case current_setting('ayb.user_id') when '1' then 'Asia/Tokyo' else 'UTC' end"
    make_table(
        "notes", "id int primary key, at timestamptz", policy=f"set_config('timezone', {zone}, true) is not null"
    )
    owner.execute("insert into notes values (1, '2026-02-07 22:00:00Z')")
    assert await seen("notes", [person(1), person(2)]) == [{}, {1: None}]
