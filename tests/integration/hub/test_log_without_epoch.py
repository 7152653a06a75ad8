"""A log without an epoch: emptied by hand until a relay begins the next epoch, or before ``migrate`` has run."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import AsyncClient

from ayb_realtime.hub import live
from ayb_realtime.hub.hearing import feed
from ayb_realtime.hub.registry import close_hub
from tests.integration.scenario import Owner, World, person


@pytest.fixture
def emptied(owner: Owner) -> Iterator[list[str]]:
    """Statements that empty the log; afterwards it has an epoch again."""
    yield ["truncate ayb_realtime.change, ayb_realtime.batch"]
    owner.execute("select ayb_realtime.ensure_epoch_v1()")


async def test_no_stream_opens_and_a_browser_comes_back(
    world: World, emptied: list[str], async_client: AsyncClient, settings: Any
) -> None:
    settings.AYB_REALTIME = {"ANONYMOUS": True}
    world.table("notes", "id int primary key")
    await close_hub()
    world.write(*emptied)
    refusal = await async_client.get("/api/realtime", {"tables": "notes"})
    browser = await async_client.get("/api/realtime", {"tables": "notes"}, headers={"Accept": "text/event-stream"})
    assert (refusal.status_code, refusal.json()["message"]) == (503, "database unavailable")
    assert (browser.status_code, browser.headers["Content-Type"]) == (200, "text/event-stream")
    assert browser.content.startswith(b"retry: ")


async def test_open_streams_wait_for_the_next_epoch_and_are_reset_then(
    world: World, emptied: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(live, "RETRY_SECONDS", 0.05)
    world.table("notes", "id int primary key")
    stream = await world.stream(person(1), "notes")
    waits = asyncio.Event()
    monkeypatch.setattr(world.hub._live._logger, "warning", lambda *_, **__: waits.set())
    world.write(*emptied)
    async with asyncio.timeout(30):
        await waits.wait()
    async with world.relaying():
        reset = await stream.next()
        assert (reset.event, reset.json()["reason"]) == (
            "reset",
            "the log no longer holds what came after that position",
        )
        world.insert("notes", 1)
        assert await stream.next_ids(1) == [1]
