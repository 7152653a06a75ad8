"""If no relay leads, a warning is logged, or the process runs a relay."""

import asyncio
from typing import Any

import pytest
from django.db import connections

from ayb_realtime.checks.relay import check_relay
from ayb_realtime.hub import relay_watch
from ayb_realtime.hub.registry import close_hub, get_hub
from tests.integration.scenario import MakeTable, Owner, World, open_stream, person


async def until_looked(hub: Any) -> None:
    """Wait until the looks that new streams have caused are over."""
    looks = [task for task in hub._tasks._tasks if "RelayWatch.look" in repr(task.get_coro())]
    await asyncio.gather(*looks)


async def test_stream_without_a_relay_is_warned_of_once_a_minute(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(relay_watch, "GRACE_SECONDS", 0.0)
    world.table("notes", "id int primary key")
    for _ in range(3):
        await world.stream(person(1), "notes")
        await until_looked(world.hub)
    assert [record.message for record in caplog.records].count(relay_watch.NO_RELAY) == 1


async def test_stream_with_a_relay_is_not_warned_of(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(relay_watch, "GRACE_SECONDS", 0.0)
    world.table("notes", "id int primary key")
    async with world.relaying():
        await world.stream(person(1), "notes")
        await until_looked(world.hub)
    assert relay_watch.NO_RELAY not in [record.message for record in caplog.records]


async def test_process_relays_by_itself_where_it_is_told_to(
    memory_layer: Any, make_table: MakeTable, owner: Owner, settings: Any
) -> None:
    settings.AYB_REALTIME = {"RELAY_IN_PROCESS": True}
    make_table("notes", "id int primary key")
    try:
        stream = await open_stream(await get_hub(), person(1), "notes")
        owner.execute("insert into notes values (1)")
        assert (await stream.next_change())["record"] == {"id": 1}
    finally:
        await close_hub()


def test_relay_that_is_missing_is_warned_of_where_nothing_was_ever_numbered(db: None) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("delete from ayb_realtime.batch")
    (message,) = check_relay(None, databases=["default"])
    assert message.id == "ayb_realtime.W022"


def test_relay_that_is_missing_is_warned_of(transactional_db: None, settings: Any) -> None:
    (message,) = check_relay(None, databases=["default"])
    assert message.id == "ayb_realtime.W022"
    settings.AYB_REALTIME = {"RELAY_IN_PROCESS": True}
    assert check_relay(None, databases=["default"]) == []
    connections.close_all()
