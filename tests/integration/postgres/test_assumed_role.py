"""A database whose login role may do nothing but assume the owner's: ``OPTIONS["assume_role"]``."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from channels.layers import BaseChannelLayer
from django.db import connections

from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.registry import close_hub, get_hub
from ayb_realtime.postgres import database, sessions
from ayb_realtime.visibility import as_identity
from tests.example import database as new_database
from tests.integration import own_server
from tests.integration.conftest import OWN_TEXT
from tests.integration.scenario import OWN, Owner, open_stream, person, relaying

TABLE = f"""
create table notes (id int primary key, author text);
create policy p on notes using ({OWN});
alter table notes enable row level security;
select ayb_realtime.enable_v1('notes');
"""


@pytest.fixture
def roles(owner: Owner) -> Iterator[tuple[str, str]]:
    """The names of a role that logs in, and of the role that it may assume."""
    login, assumed = f"login_{uuid4().hex}", f"owns_{uuid4().hex}"
    owner.execute(f"create role {login} login noinherit password 'login'".encode())
    owner.execute(f"create role {assumed}".encode())
    owner.execute(f"grant ayb_authenticated, ayb_anonymous to {assumed}".encode())
    owner.execute(f"grant {assumed} to {login}".encode())
    owner.execute(f"grant {assumed} to current_user".encode())
    yield login, assumed
    owner.execute(f"drop role {login}, {assumed}".encode())


@pytest.fixture
def assumed_owner(
    roles: tuple[str, str], another_database: dict[str, Any], settings: Any
) -> Iterator[psycopg.Connection[Any]]:
    """A connection that acts as the owner of another database, which the settings let the login role assume."""
    login, assumed = roles
    with (
        new_database(os.environ["DATABASE_URL"]) as url,
        psycopg.connect(url, autocommit=True, options=OWN_TEXT) as connection,
    ):
        name = connection.info.dbname
        connection.execute(f"alter database {name} owner to {assumed}".encode())
        connection.execute(f"set role {assumed}".encode())
        connection.execute("create schema if not exists public")
        own_server.make_log(connection)
        connection.execute(TABLE.encode())
        options = {**another_database["OPTIONS"], "assume_role": assumed}
        another_database.update(NAME=name, USER=login, PASSWORD="login", OPTIONS=options)
        settings.AYB_REALTIME = {"DATABASE": "another"}
        yield connection


@pytest_asyncio.fixture
async def hub(assumed_owner: Owner, memory_layer: BaseChannelLayer) -> AsyncIterator[Hub]:
    """A hub on that database."""
    yield await get_hub()
    await close_hub()


async def test_relay_and_hub_act_as_the_assumed_role(
    hub: Hub, assumed_owner: Owner, memory_layer: BaseChannelLayer
) -> None:
    async with relaying(memory_layer, lambda: database.connect("another")):
        stream = await open_stream(hub, person(1), "notes")
        assumed_owner.execute("insert into notes values (1, '1')")
        assert await stream.next_action() == ("create", {"id": 1, "author": "1"})
        assumed_owner.execute("delete from notes")
        assert (await stream.next_action())[0] == "delete"


async def test_web_process_assumes_the_role_in_each_transaction_and_leaves_nothing_behind(
    assumed_owner: Owner, roles: tuple[str, str]
) -> None:
    login, assumed = roles
    async with await database.connect("another") as connection:
        assert await sessions.fetch(connection, "select session_user::text, current_user::text") == [(login, assumed)]
        row = await (await connection.execute("select current_user::text")).fetchone()
        assert row == (login,)


async def test_session_of_the_login_role_can_be_ended(assumed_owner: Owner) -> None:
    async with await database.connect("another") as one, await database.connect("another") as other:
        assert await sessions.fetch(one, sessions.TERMINATE, [other.info.backend_pid]) == [(True,)]


def test_block_within_a_block_is_a_subscribers(assumed_owner: Owner) -> None:
    assumed_owner.execute("insert into notes values (1, '1'), (2, '2')")
    with closing(connections.create_connection("another")) as connection:
        connection.connect()
        connections["another"] = connection
        with connection.cursor() as cursor:
            for user in (1, 2):
                with as_identity(person(3)), as_identity(person(user)):
                    cursor.execute("select id from notes")
                    assert cursor.fetchall() == [(user,)]
