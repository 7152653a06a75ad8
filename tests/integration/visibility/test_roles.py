"""Roles that cannot be checked: policies do not bind them, or the hub may not act as them."""

import psycopg
import pytest

from ayb_realtime import visibility
from ayb_realtime.exceptions import RoleRefused
from ayb_realtime.identity import AUTHENTICATED_ROLE, Identity
from ayb_realtime.postgres import database
from ayb_realtime.postgres.tables import streamed
from ayb_realtime.wire.records import Row
from tests.integration.scenario import OWN, MakeTable, Owner, let_call_what_hubs_call, person
from tests.integration.visibility.conftest import checking


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
    let_call_what_hubs_call(owner, "bystander")
    try:
        stranger = psycopg.conninfo.make_conninfo(database_url, user="bystander", password="bystander")
        async with await psycopg.AsyncConnection.connect(stranger) as connection:
            with pytest.raises(RoleRefused, match="GRANT ayb_authenticated TO bystander"):
                await visibility.check_role(connection, AUTHENTICATED_ROLE)
    finally:
        owner.execute("revoke all on all functions in schema ayb_realtime from bystander")
        owner.execute("revoke usage on schema ayb_realtime from bystander; drop role bystander")


async def test_hub_whose_user_has_only_the_subscribers_role_checks_a_table_in_their_schema(
    database_url: str, owner: Owner, make_table: MakeTable
) -> None:
    has_set = owner.info.server_version >= 160000
    owner.execute("create role visitor login noinherit password 'visitor'")
    owner.execute(f"grant ayb_authenticated to visitor {'with set true, inherit false' if has_set else ''}".encode())
    owner.execute("grant usage on schema ayb_realtime to visitor; create schema sales")
    owner.execute("grant select on all tables in schema ayb_realtime to visitor")
    let_call_what_hubs_call(owner, "visitor")
    try:
        make_table("sales.notes", "id int primary key, author text", policy=OWN)
        visitor = psycopg.conninfo.make_conninfo(database_url, user="visitor", password="visitor")
        async with await psycopg.AsyncConnection.connect(visitor) as connection:
            await database.read_one_snapshot(connection)
            await visibility.configure(connection)
            (table,) = [each for each in await streamed(connection) if each.name == "notes"]
            owner.execute("insert into sales.notes values (1, '1')")
        async with await psycopg.AsyncConnection.connect(visitor) as connection:
            await database.read_one_snapshot(connection)
            await visibility.configure(connection)
            row = {1: Row('{"id":1,"author":"1"}')}
            answers = await visibility.check(connection, table, row, [person(1), person(2)])
        assert [answers.visible_to(who) for who in (person(1), person(2))] == [{1: None}, {}]
        assert not answers.unanswered
    finally:
        owner.execute("drop schema sales cascade; revoke all on all functions in schema ayb_realtime from visitor")
        owner.execute("revoke all on all tables in schema ayb_realtime from visitor")
        owner.execute("revoke usage on schema ayb_realtime from visitor; drop role visitor")
