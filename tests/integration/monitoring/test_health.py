"""Whether a web process can stream, and what is wrong with the relay."""

import asyncio
import logging
import re
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import BaseChannelLayer
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import AsyncClient, Client
from psycopg_pool import PoolTimeout

from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.registry import close_hub, get_hub
from ayb_realtime.postgres import database
from ayb_realtime.relay import leadership
from embedded import free_port
from tests.integration.scenario import MakeTable, Owner, relaying, until

READY, AWAY = {"hub": True, "database": True}, {"hub": True, "database": False}


async def health(client: AsyncClient) -> tuple[int, Any]:
    """Ask as a probe does: without credentials."""
    response = await client.get("/api/realtime/health")
    assert "no-store" in response.headers["Cache-Control"]
    return response.status_code, response.json()


async def test_process_that_can_stream_says_so_and_makes_its_hub_first(the_hub: Hub, async_client: AsyncClient) -> None:
    await close_hub()
    assert await health(async_client) == (200, READY)
    assert await get_hub() is not the_hub


async def test_probes_that_come_together_share_the_questions(
    the_hub: Hub, async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    read = the_hub.feed._read_head

    async def noted() -> int:
        asked.append(1)
        return await read()

    monkeypatch.setattr(the_hub.feed.log_head, "_ask", noted)
    assert await asyncio.gather(*(health(async_client) for _ in range(20))) == [(200, READY)] * 20
    assert len(asked) <= 2


async def test_process_whose_database_does_not_answer_is_not_ready_and_alive(
    the_hub: Hub, async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse() -> int:
        raise PoolTimeout

    monkeypatch.setattr(the_hub.feed.log_head, "_ask", refuse)
    assert await health(async_client) == (503, AWAY)
    assert (await async_client.get("/api/realtime/health/alive")).status_code == 200


async def test_process_whose_database_hangs_is_not_ready(
    the_hub: Hub, async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ayb_realtime.monitoring.ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(the_hub.feed.log_head, "_ask", asyncio.Event().wait)
    assert await health(async_client) == (503, AWAY)


async def test_process_that_cannot_make_a_hub_is_not_ready(
    transactional_db: None, async_client: AsyncClient, settings: Any, another_database: dict[str, Any]
) -> None:
    another_database.update(HOST="127.0.0.1", PORT=free_port())
    settings.AYB_REALTIME = {"HUB_DATABASE": "another"}
    assert await health(async_client) == (503, {"hub": False, "database": False})
    await sync_to_async(connections.close_all)()


def test_health_under_wsgi_says_that_there_are_no_streams(transactional_db: None, client: Client) -> None:
    response = client.get("/api/realtime/health")
    assert (response.status_code, response.json()["message"]) == (500, "streaming not supported")
    assert client.post("/api/realtime/health").status_code == 405


async def checked() -> str:
    """Run the command, which must fail, and return what it says."""
    with pytest.raises(CommandError) as error:
        await asyncio.to_thread(call_command, "runrealtime", "--check")
    return str(error.value)


async def test_leader_that_numbers_nothing_is_told(
    make_table: MakeTable, owner: Owner, database_url: str, memory_layer: BaseChannelLayer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(leadership, "LOOK_AGAIN_SECONDS", 0.1)
    make_table("notes", "id int primary key")
    async with relaying(memory_layer), await database.connect("default") as locker, locker.transaction():
        await locker.execute("lock table ayb_realtime.batch in exclusive mode")
        owner.execute("insert into notes values (1)")
        told = await checked()
        assert re.search(
            r"Postgres' process \d+, numbers nothing\. .* Restart it\. The log: position \d+, 1 changes", told
        )


async def test_leader_that_is_not_seen_is_told(
    database_url: str, owner: Owner, memory_layer: BaseChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leadership, "LEADER_GONE_SECONDS", 0.2)
    monkeypatch.setattr(leadership, "be_seen", lambda connection, term: asyncio.Event().wait())
    async with relaying(memory_layer):
        gone = "select ayb_realtime.milliseconds_v1() - last_value > 250 from ayb_realtime.leader_seen"
        await until(owner, gone)
        told = await checked()
    assert re.search(r"was last seen \d+\.\d s ago: it is suspended, .* start another one: manage.py runrealtime", told)


async def test_relay_that_leads_is_logged_by_a_name_that_lasts(
    database_url: str, memory_layer: BaseChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ayb_realtime")
    async with relaying(memory_layer):
        assert [record.event_name for record in caplog.records] == ["relay_leads"]  # type: ignore[attr-defined]
