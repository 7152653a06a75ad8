"""`migrate` makes what a hub needs, so that no DDL is needed later: where it is forbidden, and after a restore."""

import asyncio
import itertools
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from channels.layers import BaseChannelLayer

from ayb_realtime.exceptions import CheckerNotMade
from ayb_realtime.hub.hub import Hub
from ayb_realtime.identity import Identity
from ayb_realtime.postgres import database, tables
from ayb_realtime.visibility.check_functions import make_check_function
from embedded.ports import LOOPBACK
from embedded.postgres import Postgres
from tests.example import MANAGE
from tests.integration.own_server import server
from tests.integration.scenario import OWN, Owner, Stream, open_stream, person, relaying

DEPLOYING = "-c deploy.runs=on"
TABLES = f"""
create type mood as enum ('glad');
create table notes (id int primary key, author text);
create policy p on notes using ({OWN});
alter table notes enable row level security;
create table moods (id int primary key, mood mood, secret int);
select ayb_realtime.enable_v1('notes'), ayb_realtime.enable_v1('moods');
revoke select on moods from ayb_authenticated;
grant select (id, mood) on moods to ayb_authenticated;
"""
FORBID = """
create function forbid() returns event_trigger language plpgsql as $$
begin
    if current_setting('deploy.runs', true) is distinct from 'on' then
        raise exception 'no % outside deployments', tg_tag;
    end if;
end $$;
create event trigger forbid on ddl_command_start execute function forbid();
"""


@pytest.fixture
def site(folder: Path, another_database: dict[str, Any], settings: Any) -> Iterator[Postgres]:
    """A migrated server of the test's own, which the settings name as the database of the streamed tables."""
    with server(folder) as running:
        another_database.update(
            HOST=LOOPBACK, PORT=running.port, USER="postgres", PASSWORD=running.password, NAME="postgres"
        )
        settings.AYB_REALTIME = {"DATABASE": "another"}
        migrate(running)
        yield running


@pytest.fixture
def deployer(site: Postgres) -> Iterator[Owner]:
    """A connection that may run DDL in any case."""
    with psycopg.connect(site.url(), autocommit=True, options=DEPLOYING) as connection:
        yield connection


def migrate(site: Postgres) -> str:
    """Run `manage.py migrate` as a deployment does, and return what it wrote."""
    environment = {**os.environ, "DATABASE_URL": site.url(), "PGOPTIONS": DEPLOYING}
    command = [sys.executable, str(MANAGE), "migrate"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=MANAGE.parent)
    return f"{done.stdout}{done.stderr}"


@asynccontextmanager
async def hub_with_relay(layer: BaseChannelLayer) -> AsyncIterator[Hub]:
    """Run a relay and a hub on the database that the settings name."""
    async with relaying(layer, lambda: database.connect("another")):
        hub = Hub(layer, database.pool())
        await hub.start()
        try:
            yield hub
        finally:
            await hub.close()


async def test_streams_work_where_an_event_trigger_forbids_all_ddl(
    site: Postgres, deployer: Owner, memory_layer: BaseChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    deployer.execute(TABLES.encode() + FORBID.encode())
    migrate(site)
    async with hub_with_relay(memory_layer) as hub:
        stream = await open_stream(hub, person(1), "notes", "moods")
        with psycopg.connect(site.url(), autocommit=True) as writer:
            writer.execute("insert into notes values (1, '2'), (2, '1')")
            assert await stream.next_action() == ("create", {"id": 2, "author": "1"})
            writer.execute("insert into moods values (1, 'glad', 7)")
            assert await stream.next_action() == ("create", {"id": 1, "mood": "glad"})
    assert [record.message for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []


async def test_role_that_is_new_since_is_reset_until_what_the_log_says_is_run(
    site: Postgres, deployer: Owner, memory_layer: BaseChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    deployer.execute(TABLES.encode() + FORBID.encode())
    migrate(site)
    role = "o'brien"
    deployer.execute(f'create role "{role}"; grant select on notes to "{role}"'.encode())
    async with hub_with_relay(memory_layer) as hub:
        stream = await open_stream(hub, Identity(role, (("ayb.user_id", "1"),)), "notes")
        with psycopg.connect(site.url(), autocommit=True) as writer:
            for n in (1, 2):
                writer.execute("insert into notes values (%s, '1')", [n])
                assert (await stream.next()).event == "reset"
            (line,) = (record.message for record in caplog.records if record.levelname == "ERROR")
            assert "no CREATE FUNCTION outside deployments" in line
            assert "manage.py migrate" in line
            (remedy,) = re.findall("select .*;", line)
            deployer.execute(remedy.encode())
            writer.execute("insert into notes values (3, '1')")
            assert await stream.next_action() == ("create", {"id": 3, "author": "1"})
            # Another text is necessary; the old one is not used meanwhile.
            deployer.execute(f'revoke select on notes from "{role}"; grant select (id) on notes to "{role}"'.encode())
            writer.execute("insert into notes values (4, '1')")
            assert (await stream.next()).event == "reset"
            migrate(site)
            writer.execute("insert into notes values (5, '1')")
            assert await stream.next_action() == ("create", {"id": 5})


def functions(owner: Owner) -> set[str]:
    """Return the first lines of the functions that check tables."""
    rows = owner.execute("select split_part(prosrc, E'\\n', 2) from pg_proc where proname ~ '^check_1_'").fetchall()
    return {line for (line,) in rows}


def test_what_is_left_of_tables_and_roles_is_dropped(site: Postgres, deployer: Owner) -> None:
    before = functions(deployer)
    deployer.execute(TABLES.encode())
    deployer.execute("create role reader; grant select on notes to reader")
    migrate(site)
    made = {
        '-- ["public.notes", "ayb_authenticated"]',
        '-- ["public.notes", "reader"]',
        '-- ["public.moods", "ayb_authenticated"]',
    }
    assert functions(deployer) - before == made
    deployer.execute("drop table moods; drop type mood; drop owned by reader; drop role reader")
    migrate(site)
    assert functions(deployer) - before == {'-- ["public.notes", "ayb_authenticated"]'}
    (shadows,) = deployer.execute("select count(*) from pg_type where typname ^@ 'row_'").fetchone() or (None,)
    assert shadows == 0


def test_migrate_that_may_not_make_the_functions_says_so_and_succeeds(site: Postgres, deployer: Owner) -> None:
    deployer.execute(TABLES.encode())
    deployer.execute(FORBID.replace("is distinct from", "=").encode())
    assert re.search("no CREATE (FUNCTION|TYPE) outside deployments", migrate(site))


def restore(site: Postgres, dump: Path, *options: str) -> None:
    """Restore a dump over the database."""
    restoring = ("pg_restore", "--clean", "--single-transaction", *options, f"--dbname={site.url()}", str(dump))
    run(site, *restoring)


def run(site: Postgres, program: str, *arguments: str) -> None:
    """Run one of the server's programs."""
    done = subprocess.run([site.binaries / program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


FORBID_ONE = """
create function forbid_one() returns event_trigger language plpgsql as $$
begin
    if exists (
        select
          from pg_event_trigger_ddl_commands() c
          join pg_proc p on p.oid = c.objid
         where p.prosrc like '%public.moods%'
    ) then
        raise exception 'not for moods';
    end if;
end $$;
create event trigger forbid_one on ddl_command_end when tag in ('CREATE FUNCTION') execute function forbid_one();
"""


def test_function_that_cannot_be_made_is_named_and_the_others_are_made(site: Postgres, deployer: Owner) -> None:
    before = functions(deployer)
    deployer.execute(TABLES.encode())
    deployer.execute(FORBID_ONE.encode())
    said = migrate(site)
    assert "was not made. public.moods for ayb_authenticated: not for moods\n" in said
    assert functions(deployer) - before == {'-- ["public.notes", "ayb_authenticated"]'}


def test_table_that_has_lost_its_key_does_not_keep_what_is_left_of_others(site: Postgres, deployer: Owner) -> None:
    before = functions(deployer)
    deployer.execute(TABLES.encode())
    migrate(site)
    deployer.execute("alter table notes drop constraint notes_pkey; drop table moods")
    migrate(site)
    assert functions(deployer) == before


async def test_hub_does_not_wait_for_a_migration_that_makes_functions(site: Postgres, deployer: Owner) -> None:
    deployer.execute(TABLES.encode())
    async with await database.connect("another") as connection:
        notes = next(table for table in await tables.streamed(connection) if table.name == "notes")
        with deployer.transaction():
            deployer.execute("lock table ayb_realtime.layout in share update exclusive mode")
            with pytest.raises(CheckerNotMade, match="55P03"):
                await make_check_function(connection, notes, "ayb_authenticated")


@pytest.mark.parametrize(
    ("statement", "options"),
    [("select", ()), ("select", ("--if-exists",)), ("drop schema ayb_realtime cascade", ("--if-exists",))],
)
async def test_dump_is_restored_over_the_used_database_under_open_streams(
    site: Postgres,
    deployer: Owner,
    memory_layer: BaseChannelLayer,
    folder: Path,
    statement: str,
    options: tuple[str, ...],
) -> None:
    deployer.execute(TABLES.encode())
    migrate(site)
    dump = folder / "yesterday"
    run(site, "pg_dump", "--format=custom", f"--file={dump}", site.url())
    async with hub_with_relay(memory_layer) as hub:
        stream = await open_stream(hub, person(1), "notes", "moods")
        for _ in range(2):
            # Each time the database has other rows, and other oids, than the dump.
            stream = await until_told(hub, stream, deployer)
            deployer.execute(statement.encode())
            await asyncio.to_thread(restore, site, dump, *options)
            assert deployer.execute("select count(*) from notes").fetchone() == (0,)
        await until_told(hub, stream, deployer)


IDS = itertools.count(1)


async def until_told(hub: Hub, stream: Stream, writer: Owner) -> Stream:
    """Insert a row into each table, and again after each reset, until both are told.

    Returns the stream, or the one that the client opens when it has ended.
    """
    awaited: set[tuple[str, int]] = set()
    is_due = True
    while is_due or awaited:
        if is_due:
            n = next(IDS)
            writer.execute(f"insert into notes values ({n}, '1'); insert into moods values ({n}, 'glad', 7)".encode())
            awaited = {("notes", n), ("moods", n)}
        try:
            event = await stream.next()
        except StopAsyncIteration:
            stream, is_due = await open_stream(hub, person(1), "notes", "moods"), True
        else:
            is_due = event.event == "reset"
            if not is_due:
                awaited.discard((event.json()["table"], event.json()["record"]["id"]))
    return stream
