"""Nothing depends on what a role, a database or a session has set."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from channels.layers import BaseChannelLayer
from psycopg import sql

from ayb_realtime import database, leadership, log, sessions
from ayb_realtime.hub import Hub
from ayb_realtime.visibility import transactions
from example_project.embedded import postgres
from tests.example import Example
from tests.integration.conftest import open_stream, person, relaying

Owner = psycopg.Connection[Any]
MakeTable = Callable[..., None]
SetDefault = Callable[[str, str], None]

OWN = "author = current_setting('ayb.user_id')"
COLUMNS = "id int primary key, author text"
PRESENT = "select name, setting from pg_catalog.pg_settings order by name"


@pytest.fixture
def set_default(owner: Owner) -> Iterator[SetDefault]:
    """Set something for the whole database: for the sessions that begin afterwards."""
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


class Connector:
    """Opens a relay's connections, and keeps them in view."""

    def __init__(self) -> None:
        self.opened: list[psycopg.AsyncConnection[Any]] = []

    async def __call__(self) -> psycopg.AsyncConnection[Any]:
        self.opened.append(await database.connect("default"))
        return self.opened[-1]


def knows(owner: Owner, name: str) -> bool:
    """Tell whether this server has a setting."""
    return owner.execute("select from pg_settings where name = %s", [name]).fetchone() is not None


async def settings_of(connection: psycopg.AsyncConnection[Any]) -> dict[str, str]:
    """Return what a session has set."""
    return dict(await (await connection.execute(PRESENT)).fetchall())


# Each of them the opposite of what we rely on.
ODD = {
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
    "statement_timeout": "30000",
    "lock_timeout": "30000",
    "idle_in_transaction_session_timeout": "30000",
    "idle_session_timeout": "30000",
    "row_security": "off",
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


async def test_each_connection_of_a_relay_has_what_we_rely_on(
    owner: Owner, memory_layer: BaseChannelLayer, set_default: SetDefault
) -> None:
    for name, value in ODD.items():
        set_default(name, value)
    connect = Connector()
    async with relaying(memory_layer, connect):
        for connection in connect.opened:
            present = await settings_of(connection)
            relied_on = {**sessions.RELIED_ON, **sessions.OWN_TEXT}
            assert {name: value for name, value in present.items() if name in relied_on} == {
                name: value for name, value in relied_on.items() if knows(owner, name)
            }
            assert (present["enable_indexscan"], present["random_page_cost"]) == ("on", "4")
            assert present["from_collapse_limit"] == "8"


async def test_statement_of_a_web_process_runs_under_what_we_rely_on_and_leaves_nothing_behind(
    owner: Owner, set_default: SetDefault
) -> None:
    for name, value in ODD.items():
        set_default(name, value)
    async with await database.connect("default") as connection:
        before = await settings_of(connection)
        within = dict(await sessions.fetch(connection, "select name, setting from pg_settings"))
        after = await settings_of(connection)
    assert after == before
    relied_on = {**sessions.RELIED_ON, **sessions.OWN_TEXT}
    assert {name: within[name] for name in relied_on if name in within} == {
        name: value for name, value in relied_on.items() if name in within
    }
    assert (within["transaction_isolation"], within["transaction_read_only"]) == ("repeatable read", "on")


async def test_check_runs_under_what_we_rely_on_but_in_the_sites_search_path_and_leaves_nothing_behind(
    owner: Owner, set_default: SetDefault
) -> None:
    for name, value in ODD.items():
        set_default(name, value)
    async with database.pool() as pool, pool.connection() as connection:
        before = await settings_of(connection)
        async with transactions.prepared(connection):
            within = await settings_of(connection)
        assert await settings_of(connection) == before
    assert within["search_path"] == "public, pg_catalog"
    assert within["standard_conforming_strings"] == "off"  # as in the session of whom the policy is about
    assert (within["transaction_isolation"], within["row_security"]) == ("repeatable read", "on")
    assert (within["max_parallel_workers_per_gather"], within["enable_indexscan"]) == ("0", "on")
    assert (within["enable_seqscan"], within["random_page_cost"]) == ("off", "4")


async def test_users_transactions_do_not_fail_where_serializable_is_the_default(
    owner: Owner, database_url: str, make_table: MakeTable, memory_layer: BaseChannelLayer, set_default: SetDefault
) -> None:
    make_table("notes", COLUMNS)
    set_default("default_transaction_isolation", "serializable")

    def write(author: int) -> int:
        """Write as one user, whose rows are no other's; return how often that failed."""
        failed = 0
        with psycopg.connect(database_url, autocommit=True) as connection:
            for n in range(50):
                try:
                    connection.execute("insert into notes values (%s, %s)", [author * 1000 + n, str(author)])
                except psycopg.errors.SerializationFailure:
                    failed += 1
        return failed

    async with relaying(memory_layer):
        with ThreadPoolExecutor(3) as threads:
            loop = asyncio.get_running_loop()
            failures = await asyncio.gather(*(loop.run_in_executor(threads, write, author) for author in range(3)))
    assert sum(failures) == 0


async def test_site_that_commits_without_waiting_for_the_disk_keeps_what_was_told_through_a_crash(
    tmp_path: Path,
) -> None:
    # Only what is told is waited for: the writers' own transactions are on disk before the numbers of their changes.
    options = {"fsync": "off", "synchronous_commit": "off", "wal_writer_delay": "10s", "wal_writer_flush_after": "1GB"}
    with postgres(tmp_path / "postgres", settings=options) as server:
        example = Example(server.url(), tmp_path)
        example.prepare()
        told = await _number_a_post(example, server.url())
        postmaster = (tmp_path / "postgres" / "data" / "postmaster.pid").read_text().split()[0]
        os.kill(int(postmaster), signal.SIGQUIT)
    with postgres(tmp_path / "postgres", settings=options) as server:
        async with await psycopg.AsyncConnection.connect(server.url(), autocommit=True) as connection:
            assert await log.head(connection) == told


async def _number_a_post(example: Example, url: str) -> int:
    """Number a change as a relay does, and return its position."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await sessions.settle(connection)
        await log.ensure_epoch(connection)
        await log.next_batch(connection)
        example.add_post("told", published=True)
        batch = await log.next_batch(connection)
        assert batch is not None
        return batch.head


async def test_batch_that_takes_longer_than_the_sites_timeouts_is_numbered(
    owner: Owner, make_table: MakeTable, memory_layer: BaseChannelLayer, set_default: SetDefault, the_hub: Hub
) -> None:
    make_table("notes", COLUMNS)
    stream = await open_stream(the_hub, person(1), "notes")
    for name in ("statement_timeout", "lock_timeout", "transaction_timeout"):
        if knows(owner, name):
            set_default(name, "100ms")
    connect = Connector()
    async with relaying(memory_layer, connect):
        with owner.transaction():
            owner.execute("lock table ayb_realtime.batch in exclusive mode")  # which holds the numbering up
            await _waiting(owner, connect.opened[0].info.backend_pid)
            owner.execute("select pg_sleep(0.3)")
        owner.execute("insert into notes values (1, '1')")
        assert (await stream.next_change())["record"]["id"] == 1
        assert len(connect.opened) == 3  # none was lost


async def _waiting(owner: Owner, pid: int) -> None:
    """Return once a backend waits for a lock."""
    query = "select exists (select from pg_locks where pid = %s and not granted)"
    while owner.execute(query, [pid]).fetchone() != (True,):  # noqa: ASYNC110 - Postgres says nothing by itself
        await asyncio.sleep(0.01)


async def test_writer_with_other_literals_updates_a_streamed_table(
    owner: Owner, make_table: MakeTable, memory_layer: BaseChannelLayer, set_default: SetDefault, the_hub: Hub
) -> None:
    make_table("notes", COLUMNS)
    stream = await open_stream(the_hub, person(1), "notes")
    body = 'C:\\users\\u0041 "quoted"'
    for name, value in ODD.items():
        owner.execute("select set_config(%s, %s, false)", [name, value])
    async with relaying(memory_layer):
        owner.execute("insert into notes values (1, %s)", [body])
        assert (await stream.next_change())["action"] == "create"
        owner.execute("update notes set author = author || '.'")
        assert (await stream.next_change())["record"] == {"id": 1, "author": f"{body}."}
        owner.execute("update notes set id = 2")
        assert [(await stream.next_change())["action"] for _ in range(2)] == ["delete", "create"]


async def test_stream_and_its_guards_work_where_the_database_reads_literals_in_another_way(
    owner: Owner, make_table: MakeTable, memory_layer: BaseChannelLayer, set_default: SetDefault, the_hub: Hub
) -> None:
    for name, value in ODD.items():
        set_default(name, value)
    owner.execute("set standard_conforming_strings = off")
    owner.execute(
        "create function public.mine(who text) returns boolean language plpgsql immutable"
        " as $$ begin return who = current_setting('ayb.user_id'); end $$"
    )
    owner.execute(
        "create function public.sly(who text) returns boolean language plpgsql stable as"
        " $$ declare is_it boolean;"
        " begin execute 'select public.' || 'mi' || 'ne($1)' into is_it using who; return is_it; end $$"
    )
    make_table("notes", COLUMNS, policy="public.sly(author)")
    try:
        relation = "select ayb_realtime.immutable_v1('public.notes'::regclass)"
        assert owner.execute(relation).fetchone() == (["public.mine(text)"],)
        streams = [await open_stream(the_hub, person(n), "notes") for n in (1, 2)]
        async with relaying(memory_layer):
            owner.execute("insert into public.notes values (1, '1'), (2, '2')")
            assert [(await stream.next_change())["record"]["id"] for stream in streams] == [1, 2]
    finally:
        owner.execute("drop table public.notes; drop function public.sly(text); drop function public.mine(text)")


# What our statements call, for exactly what they call it with; Postgres' own take it by a conversion, or come later.
TRAPS = """
create function public.pg_column_size(json) returns int language plpgsql as $$ begin raise 'trapped'; end $$;
create function public.format(text, bigint, oid) returns text language plpgsql as $$ begin raise 'trapped'; end $$;
create function public.setval(regclass, int) returns bigint language plpgsql as $$ begin raise 'trapped'; end $$;
create function public.trapped(bigint, bigint) returns boolean language plpgsql as $$ begin raise 'trapped'; end $$;
create operator public.= (function = public.trapped, leftarg = bigint, rightarg = bigint);
"""
DISARM = """
drop operator public.= (bigint, bigint);
drop function public.pg_column_size(json), public.format(text, bigint, oid), public.setval(regclass, int),
    public.trapped(bigint, bigint);
"""


@pytest.mark.parametrize("path", ['"$user", public', "public, pg_catalog"])
async def test_nothing_of_the_sites_own_runs_as_us(
    owner: Owner,
    make_table: MakeTable,
    memory_layer: BaseChannelLayer,
    set_default: SetDefault,
    the_hub: Hub,
    path: str,
) -> None:
    make_table("notes", COLUMNS, policy=OWN)
    stream = await open_stream(the_hub, person(1), "notes")
    set_default("search_path", path)
    owner.execute(TRAPS.encode())
    try:
        async with relaying(memory_layer), database.pool() as pool, pool.connection() as connection:
            after = await log.head(connection)
            owner.execute("insert into notes values (1, '1'); update notes set author = '1'")
            await stream.next()
            (change,) = await log.read(connection, after=after, upto=after + 1)
            assert change.action == "create"
            await log.group(connection)
            await leadership.status(connection)
    finally:
        owner.execute(DISARM.encode())


FREEZE = """
import asyncio, sys
import django
django.setup()
from django.conf import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
from ayb_realtime import database
from ayb_realtime.visibility import transactions
transactions.FROZEN_SECONDS = 1

async def main():
    async with database.pool() as pool, pool.connection() as connection, transactions.prepared(connection):
        await connection.execute("select from notes, members")
        print("reading", flush=True)
        if sys.argv[2] == "sending":
            await connection.execute("select repeat('x', 1000000) from generate_series(1, 1000)")
        await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.parametrize("state", ["waiting", "sending"])
def test_process_that_is_stopped_in_a_check_lets_go_of_the_tables(
    owner: Owner, make_table: MakeTable, state: str
) -> None:
    make_table("members", COLUMNS, enable=False)
    make_table("notes", COLUMNS, policy="exists (select from members)")
    command = [sys.executable, "-c", FREEZE, owner.info.dbname, state]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "example_project.settings"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"reading\n"
            process.send_signal(signal.SIGSTOP)
            owner.execute("set lock_timeout = '20s'")
            owner.execute("alter table members add column name text; alter table notes add column name text")
        finally:
            process.kill()
