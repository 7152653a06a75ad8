"""If the log begins again or goes back, every stream gets a reset."""

import asyncio

import pytest

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Announcement
from ayb_realtime.postgres import database
from tests.integration.scenario import (
    Stream,
    World,
    person,
)


async def test_new_epoch_resets_every_stream(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        begin = await world.caught_up()
        stream = await world.stream(person(1), "notes")
        world.insert("notes", 1)
        assert await stream.next_ids(1) == [1]
    world.write("update ayb_realtime.epoch set location = 'another'")
    async with world.relaying():
        world.insert("notes", 2)
        reset = await stream.next()
        assert (reset.event, reset.json()["tables"]) == ("reset", ["notes"])
        world.insert("notes", 3)
        while (change := await stream.next_change())["record"]["id"] != 3:
            assert change["record"]["id"] == 2
        with pytest.raises(PositionUnavailable):
            await world.stream(person(1), "notes", after=begin)


async def test_positions_that_go_back_reset_every_stream(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        await world.caught_up()
        stream = await world.stream(person(1), "notes")
        world.insert("notes", *range(1, 100))
        assert await stream.next_ids(99) == list(range(1, 100))
    # As if the schema had been dropped and recreated while the hub ran.
    world.write("truncate ayb_realtime.change, ayb_realtime.batch")
    world.write("insert into ayb_realtime.batch values (0, 1, 0, '3:3:', '3:3:', 0, 0)")
    async with world.relaying():
        reset = await stream.next()
        assert (reset.event, reset.json()["reason"]) == ("reset", "the log has begun anew")
        world.insert("notes", 100)
        assert await stream.next_ids(1) == [100]


async def test_reset_while_the_layer_talks_goes_on_where_the_feed_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumped = asyncio.Event()
    jump = world.hub.feed._skip_to

    def noted(head: int) -> None:
        jump(head)
        jumped.set()

    monkeypatch.setattr(world.hub.feed, "_skip_to", noted)
    world.table("notes", "id int primary key, body text")
    stream = Stream(await world.subscriber(person(1), "notes"))
    async with await database.connect(conf.relay_database) as connection:
        world.insert("notes", 1)
        await queries.next_batch(connection)
        world.write("truncate ayb_realtime.change")
        gone = await queries.head(connection)
        # As a stream that joins does: the feed notices that the change is gone, but the hub has to wait for the lock.
        async with world.hub._live.delivery_lock:
            world.hub.feed.accept(Announcement(gone))
            await jumped.wait()
            for row_id in (2, 3, 4):
                world.write("insert into notes values (%s, repeat('x', 150000))", [row_id])
            await queries.next_batch(connection)
            world.hub.feed.accept(Announcement(gone + 3))
    events = [await stream.next() for _ in range(4)]
    assert [(event.event, int(event.id) - gone) for event in events] == [
        ("reset", 0), ("message", 1), ("message", 2), ("message", 3),
    ]  # fmt: skip
