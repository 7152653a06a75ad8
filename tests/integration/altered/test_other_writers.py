"""Unlogged tables that a crash empties, and rows that a replica session or a subscription writes."""

import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from channels.layers import BaseChannelLayer

from embedded import postgres
from tests.integration.altered.conftest import caught_up, is_reset
from tests.integration.own_server import install, server, serving
from tests.integration.scenario import open_stream, person


async def test_what_is_written_as_a_replica_is_a_change_as_any_other(
    folder: Path, memory_layer: BaseChannelLayer
) -> None:
    # On a separate server, since only a superuser may write as a replica.
    with server(folder) as running:
        install(running.url())
        async with serving(memory_layer, running.url()) as hub:
            stream = await open_stream(hub, person(1), "notes")
            with psycopg.connect(running.url(), autocommit=True) as superuser:
                superuser.execute("set session_replication_role = replica")
                superuser.execute("insert into notes values (1)")
                assert (await stream.next_change())["record"] == {"id": 1}
                superuser.execute("delete from notes")
                assert await stream.next_change() == {"action": "delete", "table": "notes", "record": {"id": 1}}
                superuser.execute("truncate notes")
                assert (await stream.next()).json()["reason"] == "table truncated"


def crash(data: Path) -> None:
    """Stop a server in immediate mode, so that it has to recover."""
    pid = int((data / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGQUIT)


UNLOGGED = "create unlogged table visits (id int primary key); select ayb_realtime.enable_v1('visits');"


UNLOGGED_LATER = "create table visits (id int primary key); select ayb_realtime.enable_v1('visits');"


UNLOGGED_PARTITION = (
    "create table visits (id int primary key) partition by list (id); select ayb_realtime.enable_v1('visits');"
    "create unlogged table visits_1 partition of visits for values in (1)"
)


@pytest.mark.parametrize("tables", [UNLOGGED, UNLOGGED_LATER, UNLOGGED_PARTITION])
async def test_unlogged_table_that_a_crash_has_emptied_is_told_by_a_reset(
    folder: Path, memory_layer: BaseChannelLayer, tables: str
) -> None:
    async with AsyncExitStack() as stack:
        with server(folder) as running:
            url, port = running.url(), running.port
            install(url)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(tables.encode())
                if tables == UNLOGGED_LATER:
                    connection.execute("alter table visits set unlogged")
                connection.execute("insert into visits values (1)")
                connection.execute(
                    "select ayb_realtime.make_check_function_v1('visits'::regclass, 'ayb_authenticated')"
                )
            hub = await stack.enter_async_context(serving(memory_layer, url))
            begin = await caught_up(hub)
            both = await open_stream(hub, person(1), "visits", "notes")
            crash(folder / "data")
        with server(folder, port) as running, psycopg.connect(url) as connection:
            assert connection.execute("select count(*) from visits").fetchone() == (0,)
            connection.commit()
            await is_reset(both)
            await is_reset(await open_stream(hub, person(1), "visits", after=begin))
            # An orderly restart empties nothing, so it is not announced.
        with server(folder, port) as running, psycopg.connect(url, autocommit=True) as connection:
            connection.execute("insert into visits values (1)")
            assert (await both.next_change())["record"] == {"id": 1}
            await stack.aclose()


async def test_what_logical_replication_writes_is_a_change_as_any_other(
    folder: Path, memory_layer: BaseChannelLayer
) -> None:
    with postgres(folder, settings={"wal_level": "logical", "fsync": "off"}) as running:
        source, target = running.url(), running.url(database="copy")
        with psycopg.connect(source, autocommit=True) as from_, psycopg.connect(source, autocommit=True) as setup:
            from_.execute("create table notes (id int primary key); insert into notes values (1)")
            from_.execute("create publication notes for table notes")
            from_.execute("select pg_create_logical_replication_slot('notes', 'pgoutput')")
            setup.execute("create database copy")
            install(target)
            async with serving(memory_layer, target) as hub:
                stream = await open_stream(hub, person(1), "notes")
                with psycopg.connect(target, autocommit=True) as to:
                    to.execute(
                        f"create subscription notes connection '{source}' publication notes"
                        " with (create_slot = false, slot_name = 'notes')".encode()
                    )
                    try:
                        assert (await stream.next_change())["record"] == {"id": 1}
                        from_.execute("delete from notes")
                        delete = await stream.next_change()
                        assert (delete["action"], delete["record"]) == ("delete", {"id": 1})
                        from_.execute("truncate notes")
                        assert (await stream.next()).json()["reason"] == "table truncated"
                    finally:
                        to.execute("drop subscription notes")
