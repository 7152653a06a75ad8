"""How streams end: a slow client, a signal, a closed or a failed hub; and what does not end them."""

import asyncio
import re
import signal
from typing import Any

from channels.layers import BaseChannelLayer

from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.lifetime import draining
from ayb_realtime.hub.registry import close_hub, get_hub
from tests.integration.scenario import (
    MakeTable,
    Owner,
    World,
    open_stream,
    person,
    read_to_end,
    relaying,
    subscribed,
)


async def test_subscriber_that_does_not_read_is_ended_and_others_are_not(world: World, settings: Any) -> None:
    settings.AYB_REALTIME = {"BUFFER_BYTES": 10_000}
    world.table("notes", "id int primary key, body text")
    async with world.relaying():
        slow = await world.subscriber(person(1), "notes")
        settings.AYB_REALTIME = {}
        reader = await world.stream(person(2), "notes")
        for row_id in range(20):
            world.write("insert into notes values (%s, repeat('x', 1000))", [row_id])
            assert await reader.next_ids(1) == [row_id]
        assert slow not in world.hub.live_subscribers
        received = await read_to_end(slow)
        assert 0 < len(received) <= 10_000
        assert received.endswith(b"\n\n")
        last = received.count(b"\nid: ") + received.startswith(b"id: ")
        resumed = await world.stream(person(1), "notes", after=world.hub.position - 20 + last)
        assert await resumed.next_ids(20 - last) == list(range(last, 20))


async def test_closing_the_hub_ends_streams_that_are_behind_too(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        begin = await world.caught_up()
        world.insert("notes", *range(100))
        behind = await world.subscriber(person(1), "notes", after=begin)
        await world.hub.close()
    assert behind.ended


async def test_lost_database_connections_are_replaced_and_nothing_is_lost(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        for row_id in range(5):
            world.write(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()"
            )
            world.insert("notes", row_id)
        assert await stream.next_ids(5) == [0, 1, 2, 3, 4]


async def test_hub_that_has_failed_ends_its_streams_and_is_replaced(world: World) -> None:
    async def fail() -> None:
        raise RuntimeError("a part of the hub, for once")

    world.table("notes", "id int primary key")
    async with world.relaying():
        subscriber = await world.subscriber(person(1), "notes")
        await asyncio.wait([world.hub._tasks.spawn(fail())])
        assert await read_to_end(subscriber) == b""
        first, second = await asyncio.gather(get_hub(), get_hub())
        assert first is second is not world.hub
        stream = await open_stream(first, person(1), "notes")
        world.insert("notes", 1)
        assert await stream.next_ids(1) == [1]


async def test_event_loop_has_one_hub(the_hub: Hub) -> None:
    assert await get_hub() is the_hub


async def test_streams_end_on_the_signal_that_stops_the_server_and_later_ones_stay_open(
    memory_layer: BaseChannelLayer, database_url: str, owner: Owner, make_table: MakeTable, monkeypatch: Any
) -> None:
    monkeypatch.setattr(draining, "LATECOMERS_SECONDS", 0.0)
    make_table("notes", "id int primary key")
    handled: list[int] = []
    handler = lambda number, _: handled.append(number)  # noqa: E731 - signal.getsignal is compared with it
    before = signal.signal(signal.SIGTERM, handler)
    try:
        the_hub = await get_hub()
        stopped = await subscribed(the_hub, person(1), "notes")
        signal.raise_signal(signal.SIGTERM)
        assert re.search(rb"^retry: \d+\n\n\Z", await read_to_end(stopped), re.MULTILINE)
        assert handled == [signal.SIGTERM]
        # The process continues.
        await the_hub.end_streams()
        async with relaying(memory_layer):
            later = await open_stream(the_hub, person(1), "notes")
            owner.execute("insert into notes (id) values (1)")
            assert await later.next_ids(1) == [1]
        await close_hub()
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
        await close_hub()


async def test_stream_that_was_on_its_way_in_ends_too(world: World) -> None:
    world.table("notes", "id int primary key")
    early = await world.hub.subscribe(person(1), ["notes"])
    ending = world.hub.end_streams()
    await read_to_end(early)
    late = await world.hub.subscribe(person(1), ["notes"])
    await read_to_end(late)
    await ending


async def test_close_ends_streams_with_a_retry_hint(world: World) -> None:
    world.table("notes", "id int primary key")
    streams = [await world.subscriber(person(number), "notes") for number in range(3)]
    await close_hub()
    for stream in streams:
        assert re.fullmatch(rb"retry: \d+\n\n", await read_to_end(stream))
