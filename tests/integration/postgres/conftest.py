"""Fixtures of the tests of sessions: odd defaults of a database, the opposite of ours; a site with three logins."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from channels.layers import BaseChannelLayer
from django.core.management import call_command
from django.db import connections
from psycopg import sql

from ayb_realtime.conf import conf
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.registry import close_hub, get_hub
from ayb_realtime.postgres import database
from tests.integration.conftest import OWN_TEXT
from tests.integration.scenario import OWN, Owner, relaying

SetDefault = Callable[[str, str], None]


COLUMNS = "id int primary key, author text"


PRESENT = "select name, setting from pg_catalog.pg_settings order by name"


@pytest.fixture
def set_default(owner: Owner) -> Iterator[SetDefault]:
    """Set a setting for the database, and so for sessions that begin afterwards."""
    statement = "alter database {} {}"
    done: list[str] = []

    def set_default(name: str, value: str) -> None:
        # A search path is a list, not one literal.
        value_sql = sql.SQL(value) if name == "search_path" else sql.Literal(value)
        change = sql.SQL("set {} = {}").format(sql.Identifier(name), value_sql)
        owner.execute(sql.SQL(statement).format(sql.Identifier(owner.info.dbname), change))
        done.append(name)

    yield set_default
    for name in done:
        change = sql.SQL("reset {}").format(sql.Identifier(name))
        owner.execute(sql.SQL(statement).format(sql.Identifier(owner.info.dbname), change))


def knows(owner: Owner, name: str) -> bool:
    """Tell whether this server knows a setting."""
    return owner.execute("select from pg_settings where name = %s", [name]).fetchone() is not None


async def settings_of(connection: psycopg.AsyncConnection[Any]) -> dict[str, str]:
    """Return a session's settings."""
    return dict(await (await connection.execute(PRESENT)).fetchall())


# Each of them the opposite of what we rely on.
ODD = {
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "default_transaction_read_only": "on",
    "exit_on_error": "on",
    "jit": "on",
    "synchronous_commit": "off",
    "statement_timeout": "30000",
    "lock_timeout": "30000",
    "idle_in_transaction_session_timeout": "30000",
    "idle_session_timeout": "30000",
    "row_security": "off",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-15",
    "max_parallel_workers_per_gather": "8",
    "search_path": "public, pg_catalog",
    "array_nulls": "off",
    "backslash_quote": "on",
    "quote_all_identifiers": "on",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "enable_indexscan": "off",
    "random_page_cost": "1e9",
    "from_collapse_limit": "1",
}


DEFINER, RELAY, HUB = 'the "definer"', "Relay's", "hub \\ $$ é"
THREE = {"DATABASE": "another", "HUB_DATABASE": "another_hub", "RELAY_DATABASE": "another_relay"}
NOTES = f"""
create table notes (id int primary key, author text, body text);
create policy own on notes using ({OWN});
alter table notes enable row level security;
select ayb_realtime.enable_v1('notes');
"""
# Give back the functions that TEST_DATABASE_ROLE=least has given to its own definer.
UNMADE = """
do $$ declare taken regprocedure; begin
    for taken in select p.oid from pg_proc p
                  where p.pronamespace = 'ayb_realtime'::regnamespace and p.proowner <> current_user::regrole loop
        execute format('alter function %s owner to current_user', taken);
    end loop;
end $$;
"""


@pytest.fixture
def roles(server_url: str) -> Iterator[None]:
    """Drop the roles at the end, when nothing depends on them."""
    yield
    with psycopg.connect(server_url, autocommit=True) as connection:
        for role in (DEFINER, RELAY, HUB):
            connection.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(role)))


@pytest.fixture
def site(
    database_url: str, roles: None, seeded_url: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> Iterator[Owner]:
    """A copy of the example's database, and a connection of its owner. The roles are not made yet."""
    own = {**connections.settings["default"], "NAME": urlsplit(seeded_url).path.strip("/")}
    for alias, login in {"another": {}, "another_hub": {"USER": HUB}, "another_relay": {"USER": RELAY}}.items():
        monkeypatch.setitem(connections.settings, alias, {**own, **login})
        with suppress(AttributeError):
            del connections[alias]
    settings.AYB_REALTIME = THREE
    connections["another"].connect()  # Django's TestCase would refuse to do so itself.
    with psycopg.connect(seeded_url, autocommit=True, options=OWN_TEXT) as connection:
        connection.execute(UNMADE.encode())
        connection.execute(NOTES.encode())
        yield connection
    connections["another"].close()
    for alias in THREE.values():
        with suppress(AttributeError):
            del connections[alias]


def roles_sql() -> str:
    """Return what the command prints for an administrator."""
    call_command("realtime_roles", "--definer", DEFINER, "--print-sql", stdout=(out := StringIO()))
    return out.getvalue()


def make_roles(site: Owner) -> None:
    """Run what the command prints, and give the logins the password of the owner."""
    site.execute(roles_sql().encode())
    for role in (RELAY, HUB):
        password = sql.Literal(connections.settings["default"]["PASSWORD"])
        site.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), password))


@asynccontextmanager
async def streaming(layer: BaseChannelLayer) -> AsyncIterator[Hub]:
    """Run a relay and a hub."""
    async with relaying(layer, lambda: database.connect(conf.relay_database)):
        hub = await get_hub()
        try:
            yield hub
        finally:
            await close_hub()
