"""Changes overtake snapshots: the rows that wait to be sent, and those that hundreds of streams are being given."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ayb_realtime import precedence
from ayb_realtime.hub.delivering import planning
from ayb_realtime.hub.snapshots import sharing
from ayb_realtime.hub.streams.snapshot_subscriber import SnapshotSubscriber
from ayb_realtime.log import snapshots as log_snapshots
from ayb_realtime.wire import events
from tests.integration.scenario import Stream, World, person
from tests.integration.snapshots.conftest import Replica


class Gates:
    """Where a delivery waits when it is planned, and a snapshot before it is read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_planned, self.may_deliver, self.may_read = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._plan, self._begin = planning.plan_delivery, log_snapshots.begin
        monkeypatch.setattr(planning, "plan_delivery", self._planned)
        monkeypatch.setattr(log_snapshots, "begin", self._begun)

    async def _planned(self, *arguments: Any) -> Any:
        plan = await self._plan(*arguments)
        self.is_planned.set()
        await self.may_deliver.wait()
        return plan

    async def _begun(self, *arguments: Any) -> Any:
        await self.may_read.wait()
        return await self._begin(*arguments)


async def live_stream(world: World) -> Stream:
    """Open a stream that has had all that is there, which is one row."""
    world.table("notes", "id int primary key")
    stream = await world.stream(person(2), "notes")
    world.insert("notes", 1)
    assert await stream.next_ids(1) == [1]
    return stream


async def snapshot_subscriber(world: World) -> SnapshotSubscriber:
    """Open a stream that begins with a snapshot."""
    subscriber = await world.hub.subscribe(person(1), ["notes"], snapshot=True)
    assert isinstance(subscriber, SnapshotSubscriber)
    return subscriber


async def test_rows_wait_while_a_change_is_delivered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "PATIENCE_SECONDS", 600)
    is_read, wait_for_readers = asyncio.Event(), sharing._wait_for_readers

    async def about_to_send(*arguments: Any) -> None:
        await wait_for_readers(*arguments)
        is_read.set()

    monkeypatch.setattr(sharing, "_wait_for_readers", about_to_send)
    async with world.relaying(), asyncio.timeout(60):
        live = await live_stream(world)
        gates = Gates(monkeypatch)
        subscriber = await snapshot_subscriber(world)
        world.insert("notes", 2)
        await gates.is_planned.wait()
        gates.may_read.set()
        await is_read.wait()
        assert subscriber.is_caught_up, "no row is sent yet"
        gates.may_deliver.set()
        assert await live.next_ids(1) == [2]
        view = await Replica(Stream(subscriber), "").until("notes", 2)
        assert list(view.rows["notes"]) == [1, 2]


async def test_change_overtakes_rows_that_are_given_to_hundreds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = events.snapshot_event
    monkeypatch.setattr(precedence, "PATIENCE_SECONDS", 0.0)

    encoded = 0

    def deliver_and_encode(*arguments: Any) -> bytes:
        nonlocal encoded
        encoded += 1
        if encoded == 2:  # The first is that of the stream that came first, alone.
            gates.may_deliver.set()
        return encode(*arguments)

    monkeypatch.setattr(sharing, "snapshot_event", deliver_and_encode)
    async with world.relaying(), asyncio.timeout(60):
        live = await live_stream(world)
        gates = Gates(monkeypatch)
        subscribers = [await snapshot_subscriber(world) for _ in range(300)]
        world.insert("notes", 2)
        await gates.is_planned.wait()
        gates.may_read.set()
        assert await live.next_ids(1) == [2]
        assert 1 < sum(not subscriber.is_caught_up for subscriber in subscribers) < len(subscribers)
        for subscriber in subscribers:
            view = await Replica(Stream(subscriber), "").until("notes", 2)
            assert list(view.rows["notes"]) == [1, 2]
