"""The lives of a log: its server restarts, its files are copied, its dump is restored. Each test starts servers."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from channels.layers import BaseChannelLayer

from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.hub.hub import Hub
from ayb_realtime.log import queries
from embedded.account import account_for
from embedded.ports import LOOPBACK
from embedded.postgres import Postgres, bundled_binaries
from tests.integration.own_server import delete_all, insert, install, server, serving
from tests.integration.scenario import Stream, group_of, open_stream, person


async def caught_up(stream: Stream, url: str, row_id: int) -> int:
    """Insert a row, and return its position once it arrives. Earlier events are ignored."""
    insert(url, row_id)
    while True:
        event = await stream.next()
        if event.event == "message" and event.json()["record"] == {"id": row_id}:
            return int(event.id)


async def test_restart_of_the_server_resets_no_stream_and_loses_nothing(
    folder: Path, memory_layer: BaseChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        with server(folder) as running:
            url, port = running.url(), running.port
            install(url)
            hub = await stack.enter_async_context(serving(memory_layer, url))
            stream = await open_stream(hub, person(1), "notes")
            begin = await caught_up(stream, url, 0)
            insert(url, *range(1, 10))
            assert await stream.next_ids(9) == list(range(1, 10))
            before = group_of(hub)
        for start in (10, 20):
            with server(folder, port) as running:
                assert running.url() == url
                insert(url, *range(start, start + 10))
                assert await stream.next_ids(10) == list(range(start, start + 10))
                resumed = await open_stream(hub, person(1), "notes", after=begin)
                assert await resumed.next_ids(start + 9) == list(range(1, start + 10))
                if start == 20:
                    await assert_heard(hub, url, stream, before, monkeypatch)
                    await stack.aclose()


async def assert_heard(hub: Hub, url: str, stream: Stream, before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that a hub hears the relay through the layer, in a new group."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        group = await queries.group(connection)
        assert group != before
    async with asyncio.timeout(30):
        while group_of(hub) != group:
            await asyncio.to_thread(lambda: None)
    await caught_up(stream, url, 100)
    monkeypatch.setattr(queries, "read", None)  # The log is no longer read.
    insert(url, *range(110, 120))
    assert await stream.next_ids(10) == list(range(110, 120))


def copy_files(folder: Path, copy: Path) -> None:
    """Copy the files of a stopped server."""
    subprocess.run(["cp", "-a", folder, copy], check=True)


async def test_copy_of_the_files_and_the_original_tell_nothing_of_each_other(
    folder: Path, memory_layer: BaseChannelLayer
) -> None:
    original, copy = folder / "original", folder / "copy"
    with server(original) as first:
        install(first.url())
        async with serving(memory_layer, first.url()) as hub:
            stream = await open_stream(hub, person(1), "notes")
            insert(first.url(), *range(100))
            assert await stream.next_ids(100) == list(range(100))
    await asyncio.to_thread(copy_files, original, copy)
    with server(original) as first, server(copy) as second:
        a, b = first.url(), second.url()
        async with serving(memory_layer, a) as hub_a, serving(memory_layer, b) as hub_b:
            assert group_of(hub_a) != group_of(hub_b)
            stream_a = await open_stream(hub_a, person(1), "notes")
            stream_b = await open_stream(hub_b, person(1), "notes")
            insert(a, *range(1000, 1050))
            delete_all(b)
            positions_a = {int((event := await stream_a.next()).id): event.json() for _ in range(50)}
            positions_b = {int((event := await stream_b.next()).id): event.json() for _ in range(100)}
            assert [event["record"]["id"] for event in positions_a.values()] == list(range(1000, 1050))
            assert [event["action"] for event in positions_b.values()] == ["delete"] * 100
            assert not positions_a.keys() & positions_b.keys()
            # A client that moves from one to the other has to fetch.
            for hub, positions in ((hub_a, positions_b), (hub_b, positions_a)):
                await assert_fetches(hub, max(positions))
                await assert_fetches(hub, min(positions))


async def assert_fetches(hub: Hub, after: int) -> None:
    """Assert that a client with a position of another server gets a reset."""
    try:
        stream = await open_stream(hub, person(1), "notes", after=after)
    except PositionUnavailable:
        return
    assert (await stream.next()).event == "reset"


def run(server: Postgres, program: str, *arguments: str, text: str = "") -> str:
    """Run one of the server's programs."""
    return subprocess.run(
        [bundled_binaries() / program, *arguments], input=text, capture_output=True, text=True, check=True
    ).stdout


async def test_dump_restored_every_night_is_another_log_every_night(
    folder: Path, memory_layer: BaseChannelLayer
) -> None:
    with server(folder) as running:
        install(running.url())
        async with serving(memory_layer, running.url()) as hub:
            stream = await open_stream(hub, person(1), "notes")
            insert(running.url(), *range(20))
            assert await stream.next_ids(20) == list(range(20))
        dump = run(running, "pg_dump", running.url())
        told: list[int] = []
        for _ in range(3):
            with psycopg.connect(running.url(), autocommit=True) as connection:
                connection.execute("drop database if exists night with (force)")
                connection.execute("create database night")
            url = running.url(database="night")
            run(running, "psql", url, "--quiet", "--single-transaction", text=dump)
            async with serving(memory_layer, url) as hub:
                for yesterday in told:
                    await assert_fetches(hub, yesterday)
                stream = await open_stream(hub, person(1), "notes")
                insert(url, *range(100, 200))
                events = [await stream.next() for _ in range(100)]
                assert [event.json()["record"]["id"] for event in events] == list(range(100, 200))
                assert not set(told) & {int(event.id) for event in events}
                told += [int(event.id) for event in events[::10]]


@contextmanager
def standby_of(primary: Postgres, folder: Path) -> Iterator[Postgres]:
    """Run a standby of another server."""
    folder.mkdir()
    (folder / "password").write_text(primary.password)
    account = account_for(folder, primary.binaries / "postgres")
    arguments = ("-D", folder / "data", "-R", "-c", "fast", "-d", primary.url())
    made = account.run(primary.binaries / "pg_basebackup", *arguments)
    assert made.returncode == 0, made.stdout
    with server(folder) as standby:
        yield standby


async def test_failover_with_a_transaction_open_resets_and_tells_what_the_new_primary_has(
    folder: Path, memory_layer: BaseChannelLayer
) -> None:
    async with AsyncExitStack() as stack:
        with server(folder / "primary") as primary:
            install(primary.url())
            standby = stack.enter_context(standby_of(primary, folder / "standby"))
            # As in an application that follows a failover.
            hosts = f"{primary.url().removesuffix('/postgres')},{LOOPBACK}:{standby.port}"
            url = f"{hosts}/postgres?target_session_attrs=primary"
            hub = await stack.enter_async_context(serving(memory_layer, url))
            stream = await open_stream(hub, person(1), "notes")
            begin = await caught_up(stream, url, 0)
            with psycopg.connect(primary.url()) as open_transaction:
                open_transaction.execute("insert into notes values (99)")
                insert(url, *range(1, 10))
                assert await stream.next_ids(9) == list(range(1, 10))
                stop_following(primary, standby)
                insert(url, *range(10, 20))
                events = [await stream.next() for _ in range(10)]
        with psycopg.connect(standby.url(), autocommit=True) as connection:
            connection.execute("select pg_promote()")
        told, last = [], 99
        # One reset by the hub, which finds a shorter log, and one for what commits before a relay has begun an epoch.
        while "message" not in told:
            last += 1
            insert(url, last)
            told.append((await stream.next()).event)
        assert told[:-1] in (["reset"], ["reset", "reset"])
        with psycopg.connect(standby.url()) as connection:
            rows = connection.execute("select id from notes order by id").fetchall()
        assert [row_id for (row_id,) in rows] == [*range(10), *range(100, last + 1)]
        for position in (begin, *(int(event.id) for event in events)):
            await assert_fetches(hub, position)
        await stack.aclose()


def stop_following(primary: Postgres, standby: Postgres) -> None:
    """Disconnect a standby from its primary once it has caught up."""
    with (
        psycopg.connect(primary.url(), autocommit=True) as leading,
        psycopg.connect(standby.url(), autocommit=True) as following,
    ):
        (now,) = leading.execute("select pg_current_wal_flush_lsn()").fetchone() or ("",)
        while following.execute("select pg_last_wal_replay_lsn() >= %s::pg_lsn", [now]).fetchone() != (True,):
            pass
        following.execute("alter system set primary_conninfo = ''")
        following.execute("select pg_reload_conf()")
        while following.execute("select count(*) from pg_stat_wal_receiver").fetchone() != (0,):
            pass
