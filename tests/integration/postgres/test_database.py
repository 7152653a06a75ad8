"""Connections: how many messages a check takes, and whether a connection of the pool still works."""

import asyncio
import gc
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ayb_realtime.conf import conf
from ayb_realtime.hub.delivering import planning
from ayb_realtime.hub.hub import Hub
from ayb_realtime.log import queries
from ayb_realtime.postgres import database
from tests.integration.scenario import OWN, Owner, World, open_stream, person


@pytest.fixture(autouse=True)
def long_freshness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timeouts that are longer than any test."""
    monkeypatch.setattr(database, "FRESH_SECONDS", 3600.0)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for each time that an asynchronous connection waited for an answer."""
    answered: list[None] = []
    wait = psycopg.AsyncConnection.wait

    def noted(steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        try:
            step = next(steps)
            answered.append(None)
            while True:
                step = steps.send((yield step))
        except StopIteration as end:
            return end.value

    async def counted(connection: psycopg.AsyncConnection[Any], steps: Generator[Any, Any, Any], **options: Any) -> Any:
        return await wait(connection, noted(steps), **options)

    monkeypatch.setattr(psycopg.AsyncConnection, "wait", counted)
    return answered


async def test_connection_that_was_used_a_moment_ago_is_not_asked_whether_it_is_there(
    database_url: str, messages: list[None]
) -> None:
    async with database.pool() as pool:
        await pool.wait()  # else another is opened meanwhile
        async with pool.connection():
            pass
        messages.clear()
        async with pool.connection():
            pass
        assert not messages


async def test_connection_that_was_ended_a_moment_ago_is_replaced(owner: Owner) -> None:
    async with database.pool() as pool:
        await pool.wait()  # else another is opened meanwhile
        async with pool.connection() as connection:
            ended = connection.info.backend_pid
        owner.execute("select pg_terminate_backend(%s, 10000)", [ended])
        async with pool.connection() as connection:
            assert connection.info.backend_pid != ended
            await connection.execute("select 1")


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    """What is not closed stays open."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collection")
async def test_connecting_that_is_cancelled_leaves_no_session(database_url: str) -> None:
    def open_files() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    before = open_files()
    connecting = asyncio.create_task(database.connect(conf.hub_database))
    while open_files() == before:  # noqa: ASYNC110 - psycopg does not signal it
        await asyncio.sleep(0)
    connecting.cancel()
    await asyncio.wait([connecting])
    assert connecting.cancelled()
    assert open_files() == before


class SilentProxy:
    """Passes bytes on to a server on this machine until its connections are cut: then it only goes on to accept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cut = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect one client."""
        cut = self._cut
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await asyncio.gather(self._pass(reader, target_writer, cut), self._pass(target_reader, writer, cut))
        finally:
            writer.close()
            target_writer.close()

    def cut(self) -> None:
        """Let nothing through any more on the connections that there are, and tell neither side."""
        self._cut.set()
        self._cut = asyncio.Event()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: asyncio.Event) -> None:
        while data := await reader.read(65536):
            if not cut.is_set():
                writer.write(data)
        writer.close()


async def test_streams_go_on_if_a_proxy_drops_their_connections_without_a_word(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(database, "CHECKS", 0.0)
    world.table("notes", "id int primary key, author text", policy=OWN)
    parameters = database.connection_parameters(conf.hub_database)
    proxy = SilentProxy(world.owner.info.port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxied = {**parameters, "host": "127.0.0.1", "port": port}
    async with server, world.relaying():
        monkeypatch.setattr(database, "connection_parameters", lambda _: proxied)
        hub = Hub(world.layer, database.pool(), database.pool(size=database.DELIVERY_CONNECTIONS))
        await hub.start()
        try:
            stream = await open_stream(hub, person(1), "notes")
            for row_id in range(3):
                world.write("insert into notes values (%s, '1')", [row_id])
                assert await stream.next_ids(1) == [row_id]
                proxy.cut()
        finally:
            await hub.close()


async def test_slice_of_one_table_takes_one_message_once_its_table_is_known(
    owner: Owner, make_table: Callable[..., None], messages: list[None]
) -> None:
    make_table("notes", "id int primary key, author text", policy="author = current_setting('ayb.user_id')")
    owner.execute("insert into notes values (1, '1')")
    async with await database.connect(conf.relay_database) as relay:
        batch = await queries.next_batch(relay)
    assert batch is not None
    (change,) = batch.changes
    async with database.pool() as pool:
        await pool.wait()  # else another is opened meanwhile
        for _ in range(2):  # The first reads what is to be known of the table, and makes its check function.
            messages.clear()
            await planning.plan_delivery(pool, batch.changes, {change.relation: [person(1), person(2)]})
        assert len(messages) == 1


async def test_statements_are_not_prepared_where_policies_could_put_others_in_their_place(
    another_database: dict[str, Any],
) -> None:
    another_database["OPTIONS"] = {**another_database["OPTIONS"], "prepare_threshold": 0}
    async with await database.connect("another") as connection:
        assert connection.prepare_threshold is None
