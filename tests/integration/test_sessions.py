"""Nothing depends on what a role, a database or a session has set."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from channels.layers import BaseChannelLayer
from django.db import connections
from django.db.migrations.state import ProjectState
from psycopg import sql

from ayb_realtime import visibility
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.registry import close_hub, get_hub
from ayb_realtime.log import queries
from ayb_realtime.operations import EnableRealtime
from ayb_realtime.postgres import database, sessions
from ayb_realtime.relay import leadership
from ayb_realtime.visibility import transactions
from embedded import postgres
from tests.example import Example
from tests.integration.scenario import OWN, MakeTable, Owner, open_stream, person, relaying

SetDefault = Callable[[str, str], None]

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
    assert within["search_path"] == before["search_path"]
    assert before["search_path"].startswith("public, pg_catalog")
    assert within["standard_conforming_strings"] == "off"  # as in the session of whom the policy is about
    assert (within["transaction_isolation"], within["row_security"]) == ("repeatable read", "on")
    assert (within["max_parallel_workers_per_gather"], within["enable_indexscan"]) == ("0", "on")
    assert (within["enable_seqscan"], within["random_page_cost"]) == ("off", "4")


async def test_users_transactions_do_not_fail_where_serializable_is_the_default(
    owner: Owner,
    database_url: str,
    make_table: MakeTable,
    memory_layer: BaseChannelLayer,
    set_default: SetDefault,
    the_hub: Hub,
) -> None:
    make_table("notes", COLUMNS)
    make_table("replies", COLUMNS)
    set_default("default_transaction_isolation", "serializable")
    stream = await open_stream(the_hub, person(1), "notes")
    with (
        psycopg.connect(database_url, options="") as reader,
        psycopg.connect(database_url, options="", autocommit=True) as writer,
    ):
        async with relaying(memory_layer):
            for n in range(5):
                # One has read what the other writes, and that is all that is between them.
                reader.execute("select count(*) from notes")
                reader.execute("insert into replies values (%s, '1')", [n])
                writer.execute("insert into notes values (%s, '1')", [n])
                await stream.next()  # so that the log was looked at meanwhile
                reader.commit()


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
            assert await queries.head(connection) == told


async def _number_a_post(example: Example, url: str) -> int:
    """Number a change as a relay does, and return its position."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await sessions.settle(connection)
        await queries.ensure_epoch(connection)
        await queries.next_batch(connection)
        example.add_post("told", published=True)
        batch = await queries.next_batch(connection)
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
    for name in ODD.keys() - {"default_transaction_read_only"}:
        owner.execute("select set_config(%s, %s, false)", [name, ODD[name]])
    async with relaying(memory_layer):
        owner.execute("insert into notes values (1, %s)", [body])
        assert (await stream.next_change())["action"] == "create"
        owner.execute("update notes set author = author || '.'")
        assert (await stream.next_change())["record"] == {"id": 1, "author": f"{body}."}
        owner.execute("update notes set id = 2")
        assert [(await stream.next_change())["action"] for _ in range(2)] == ["delete", "create"]


@pytest.mark.parametrize("conforming", ["on", "off"])
def test_table_with_a_backslash_in_its_name_is_enabled_however_literals_are_read(owner: Owner, conforming: str) -> None:
    owner.execute(r'create table "we\ird" (id int primary key)')
    connection = connections["default"]
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"set standard_conforming_strings = {conforming}")
        with connection.schema_editor() as schema_editor:
            state = ProjectState()
            EnableRealtime(table=r'"we\ird"').database_forwards("blog", schema_editor, state, state)
        streamed = owner.execute("select name from ayb_realtime.tables_v1()").fetchall()
        assert (r"we\ird",) in streamed
    finally:
        owner.execute(r'drop table "we\ird"')


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
    await close_hub()  # whose sessions began before
    hub = await get_hub()
    try:
        relation = "select ayb_realtime.immutable_v1('public.notes'::regclass)"
        assert owner.execute(relation).fetchone() == (["public.mine(text)"],)
        streams = [await open_stream(hub, person(n), "notes") for n in (1, 2)]
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
            after = await queries.head(connection)
            owner.execute("insert into notes values (1, '1'); update notes set author = '1'")
            await stream.next()
            (change,) = await queries.read(connection, after=after, upto=after + 1)
            assert change.action == "create"
            await queries.group(connection)
            await leadership.status(connection)
    finally:
        owner.execute(DISARM.encode())


FREEZE = """
import asyncio, sys
import django
django.setup()
from django.conf import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
from ayb_realtime.postgres import database
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


# Kinds of settings that cannot change what a statement of ours answers, nor whether it is let finish.
HARMLESS_KINDS = {
    "Reporting and Logging": "what is written to the server's log",
    "Statistics": "what the server counts",
    "Vacuuming": "how vacuum works",
    "Connections and Authentication": "how passwords are kept, and when a connection is taken for lost",
    "Replication": "what a standby waits for",
    "Resource Usage": "how fast, and how much memory: the site's to say",
}
# Of the other kinds, what we leave as the site has it, and why it cannot matter.
LEFT_TO_THE_SITE = {
    "a transaction's own, which its beginning says": {
        "transaction_deferrable", "transaction_isolation", "transaction_read_only",
    },
    "how our objects are stored, when they are made": {
        "createrole_self_grant", "default_table_access_method", "default_tablespace", "default_toast_compression",
        "temp_tablespaces", "check_function_bodies", "wal_compression", "wal_init_zero", "wal_recycle",
        "wal_skip_threshold", "gin_pending_list_limit", "file_copy_method",
    },
    "what policies and the site's functions make of a text, as in the subscribers' own sessions": {
        "default_text_search_config", "escape_string_warning", "icu_validation_level", "lc_messages", "lc_monetary",
        "lc_numeric", "lc_time", "timezone_abbreviations", "xmlbinary", "xmloption", "restrict_nonsystem_relation_kind",
        "lo_compat_privileges", "gin_fuzzy_search_limit", "plpgsql.check_asserts", "plpgsql.extra_warnings",
        "plpgsql.print_strict_params",
    },
    "ours is written so that it means the same: the suite runs under its oddest value": {
        "plpgsql.extra_errors", "plpgsql.variable_conflict",
    },
    "how long a commit takes": {"commit_delay", "commit_siblings", "deadlock_timeout"},
    "what is told to a client": {"client_min_messages"},
    "in which order a table is read, where we sort": {"synchronize_seqscans"},
    "code that a superuser lets every session load or run": {
        "dynamic_library_path", "event_triggers", "extension_control_path", "extension_destdir",
        "local_preload_libraries", "session_preload_libraries", "session_replication_role",
    },
    "for those who repair or examine Postgres itself": {
        "allow_in_place_tablespaces", "allow_system_table_mods", "backtrace_functions", "debug_discard_caches",
        "debug_logical_replication_streaming", "ignore_checksum_failure", "jit_dump_bitcode", "jit_expressions",
        "jit_tuple_deforming", "trace_notify", "trace_sort", "wal_consistency_checking", "zero_damaged_pages",
    },
    "without workers, none are made to run": {"debug_parallel_query", "force_parallel_mode"},
}  # fmt: skip
# Before version 17, those of vacuum are filed under what a client may set.
KNOBS = """
select name, case when name ^@ 'vacuum_' then 'Vacuuming' else category end
  from pg_settings where context in ('user', 'superuser') order by name
"""


async def test_each_setting_of_this_server_is_set_by_us_or_cannot_matter(database_url: str) -> None:
    async with await database.connect("default") as connection:
        await connection.execute("do 'begin end'")  # so that the settings of plpgsql are there
        rows = await (await connection.execute(KNOBS)).fetchall()
        wanted = (await sessions.of(connection)).wanted
    left = {name for names in LEFT_TO_THE_SITE.values() for name in names}
    by_us = wanted.keys() | {name for name, _ in rows if name.lower() in transactions.JSON_SETTINGS}
    unknown = {
        (name, category)
        for name, category in rows
        if name not in by_us | left and category.partition(" / ")[0] not in HARMLESS_KINDS
    }
    assert not unknown, "say in sessions.py what it has to be, or here why it cannot matter"


async def test_streams_go_on_after_a_check_was_held_up_for_so_long_that_postgres_has_ended_it(
    owner: Owner,
    make_table: MakeTable,
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_table("notes", COLUMNS, policy=OWN)
    stream = await open_stream(the_hub, person(1), "notes")
    monkeypatch.setattr(transactions, "FROZEN_SECONDS", 0.2)
    check = visibility.check
    ended: list[int] = []

    async def check_late(connection: visibility.Connection, *arguments: Any, **options: Any) -> visibility.Answers:
        if not ended:
            pid = transactions.known(connection).backend_pid
            while owner.execute("select 1 from pg_stat_activity where pid = %s", [pid]).fetchone():
                owner.execute("select pg_sleep(0.01)")  # as in a process that is stopped, nothing runs meanwhile
            ended.append(pid)
        return await check(connection, *arguments, **options)

    monkeypatch.setattr(visibility, "check", check_late)
    async with relaying(memory_layer):
        owner.execute("insert into notes values (1, '1'), (2, '2'), (3, '1')")
        assert [(await stream.next_change())["record"]["id"] for _ in range(2)] == [1, 3]
    assert ended


async def test_check_of_a_process_that_is_busy_elsewhere_goes_on(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "FROZEN_SECONDS", 0.4)
    async with database.pool() as pool, pool.connection() as connection, transactions.prepared(connection):
        # As where each part of a check is asked on a connection of its own.
        await asyncio.to_thread(owner.execute, "select pg_sleep(1)")
        assert await (await connection.execute("select 1")).fetchone() == (1,)
