"""Connections: how many messages a check takes, and whether a connection of the pool still works."""

from collections.abc import Callable, Generator
from typing import Any

import psycopg
import pytest

from ayb_realtime.hub import planning
from ayb_realtime.log import queries
from ayb_realtime.postgres import database
from tests.integration.scenario import Owner, person


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


async def test_slice_of_one_table_takes_one_message_once_its_table_is_known(
    owner: Owner, make_table: Callable[..., None], messages: list[None]
) -> None:
    make_table("notes", "id int primary key, author text", policy="author = current_setting('ayb.user_id')")
    owner.execute("insert into notes values (1, '1')")
    async with await database.connect("default") as relay:
        batch = await queries.next_batch(relay)
    assert batch is not None
    (change,) = batch.changes
    async with database.pool() as pool:
        await pool.wait()  # else another is opened meanwhile
        for _ in range(2):  # The first reads what is to be known of the table, and makes its check function.
            messages.clear()
            await planning.plan_delivery(pool, batch.changes, {change.relation: [person(1), person(2)]})
        assert len(messages) == 1
