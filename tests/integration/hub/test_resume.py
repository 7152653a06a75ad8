"""A stream that resumes, or begins while changes flow: without a gap or a repetition."""

import asyncio
import json

import pytest
from channels.layers import InMemoryChannelLayer
from django.http import HttpRequest

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.hub.hearing import feed
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Announcement
from ayb_realtime.log.messages import to_message
from ayb_realtime.postgres import database
from tests.integration.scenario import Stream, World, person
from tests.observed.urls import observed


async def test_resume_goes_on_after_the_given_position_without_gap_or_repetition(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        begin = await world.caught_up()
        live = await world.stream(person(1), "notes")
        world.insert("notes", 1, 2, 3)
        assert await live.next_ids(3) == [1, 2, 3]
        resumed = await world.stream(person(1), "notes", after=begin + 1)
        world.insert("notes", 4)
        assert await resumed.next_ids(3) == [2, 3, 4]


async def test_resumes_while_changes_flow_miss_nothing_and_repeat_nothing(world: World) -> None:
    world.table("notes", "id int primary key")

    async def write() -> None:
        for row_id in range(1, 1501):
            await asyncio.to_thread(world.insert, "notes", row_id)

    async with world.relaying():
        begin = await world.caught_up()
        writing = asyncio.create_task(write())
        streams = []
        for written in range(0, 1500, 75):
            await world.head(begin + written)
            streams.append(await world.stream(person(1), "notes", after=begin))
        await writing
        for stream in streams:
            assert await stream.next_ids(1500) == list(range(1, 1501))


async def test_fresh_streams_while_changes_flow_begin_at_one_position_and_miss_nothing_after_it(world: World) -> None:
    world.table("notes", "id int primary key")

    async def write() -> None:
        for row_id in range(1, 601):
            await asyncio.to_thread(world.insert, "notes", row_id)

    async with world.relaying():
        begin = await world.caught_up()
        writing = asyncio.create_task(write())
        fresh = []
        for written in range(0, 600, 30):
            await world.head(begin + written)
            subscriber = await world.subscriber(person(1), "notes")
            fresh.append((subscriber.position - begin, Stream(subscriber)))
        await writing
        for position, stream in fresh:
            assert await stream.next_ids(600 - position) == list(range(position + 1, 601))


async def test_resume_beyond_the_log_is_refused(world: World) -> None:
    world.table("notes", "id int primary key")
    with pytest.raises(PositionUnavailable):
        await world.stream(person(1), "notes", after=await world.head(0) + 1)


async def test_resume_beyond_the_hub_but_not_the_log_waits_for_the_hub(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.table("notes", "id int primary key")
    monkeypatch.setattr(feed, "SILENCE_SECONDS", 3600)
    async with world.relaying():
        begin = await world.caught_up()
    async with world.relaying(InMemoryChannelLayer()):
        world.insert("notes", 1, 2)
        head = await world.head(begin + 2)
        stream = await world.stream(person(1), "notes", after=head)
        world.insert("notes", 3)
        await world.head(head + 1)
    await world.layer.group_send(world.group, to_message(Announcement(head + 1), world.group))
    assert await stream.next_ids(1) == [3]


async def test_position_that_was_pruned_cannot_be_resumed_after(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        begin = await world.caught_up()
        async with await database.connect(conf.relay_database) as connection:
            for row_id in range(1, 10):
                world.insert("notes", row_id)
                await world.head(begin + row_id)
                assert await queries.prune(connection, keep_hours=0)
        with pytest.raises(PositionUnavailable, match="no longer holds"):
            await world.stream(person(1), "notes", after=begin)


async def test_stream_that_is_still_resuming_counts_as_open(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        begin = await world.caught_up()
        async with world.hub._live.delivery_lock:
            await world.subscriber(person(1), "notes", after=begin)
            held = json.loads((await observed(HttpRequest())).content)
    assert held["subscribers"] == len(world.hub.open_streams()) == 2
