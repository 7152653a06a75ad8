"""Each identity sees what Postgres shows it at the time of the check."""

import pytest
from django.db import connections

from ayb_realtime import visibility
from ayb_realtime.exceptions import CatalogChanged
from ayb_realtime.identity import AUTHENTICATED_ROLE, Identity
from ayb_realtime.postgres import database
from ayb_realtime.postgres.tables import streamed
from ayb_realtime.visibility import as_identity
from ayb_realtime.wire.records import Row
from tests.integration.scenario import OWN, MakeTable, Owner, World, person
from tests.integration.visibility.conftest import checking, seen


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
    assert "invalid input" not in caplog.text


async def test_setting_that_only_another_identity_has_is_empty(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, org text", policy="org = current_setting('ayb.org', true)")
    owner.execute("insert into notes values (1, 'acme')")
    member = Identity(AUTHENTICATED_ROLE, (("ayb.org", "acme"), ("ayb.user_id", "1")))
    assert await seen("notes", [member, person(2), member]) == [{1: None}, {}, {1: None}]


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
        answers = await visibility.check(connection, table, {1: Row('{"id":1}')}, [person(1)])
        assert answers.by_identity == {person(1): {1: None}}
    try:
        async with checking("notes") as (connection, table):
            owner.execute(statements.encode())
            with pytest.raises(CatalogChanged):
                await visibility.check(connection, table, {1: Row('{"id":1}')}, [person(1)])
    finally:
        owner.execute("drop table if exists former cascade")


async def test_without_row_security_all_rows_show_to_roles_that_may_select(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    owner.execute("insert into notes values (1), (2)")
    assert await seen("notes", [person(1), person(2)]) == [{1: None, 2: None}] * 2


async def test_missing_privilege_shows_nothing(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key")
    owner.execute("insert into notes values (1)")
    owner.execute("revoke select on notes from ayb_authenticated")
    assert await seen("notes", [person(1)]) == [{}]


async def test_policy_that_fails_on_one_row_shows_the_others(owner: Owner, make_table: MakeTable) -> None:
    make_table("notes", "id int primary key, author text", policy="author::int = current_setting('ayb.user_id')::int")
    owner.execute("insert into notes values (0, 'x')")
    owner.execute("insert into notes select n, '1' from generate_series(1, 20) n")
    mine = dict.fromkeys(range(2, 22))
    assert await seen("notes", [person(1), person(2)]) == [mine, {}]
    async with checking("notes") as (connection, table):
        lone = {7: Row('{"id":7,"author":"1"}')}
        answers = await visibility.check(connection, table, lone, [person(1)])
        assert answers.by_identity == {person(1): {7: None}}


async def test_membership_counts_from_the_next_event_on(world: World) -> None:
    world.table("members", "team int, person text, primary key (team, person)", enable=False)
    world.table(
        "notes",
        "id int primary key, team int",
        policy="exists (select from members m where m.team = notes.team and m.person = current_setting('ayb.user_id'))",
    )
    world.write("grant select on members to ayb_authenticated")
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        world.write("insert into notes values (1, 1)")
        world.write("delete from notes")
        assert (await stream.next_change())["action"] == "delete"
        world.write("insert into members values (1, '1')")
        world.write("insert into notes values (2, 1)")
        assert (await stream.next_change())["record"]["id"] == 2
        world.write("delete from members")
        world.write("insert into notes values (3, 1)")
        world.write("delete from notes where id = 3")
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
            await visibility.configure(connection)
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
