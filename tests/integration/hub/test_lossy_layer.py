"""A layer that is silent, loses messages or repeats them, and changes that are too many or too large for it."""

import asyncio
import re
from typing import Any

import psycopg
import pytest
from channels.layers import BaseChannelLayer, InMemoryChannelLayer

from ayb_realtime.conf import conf
from ayb_realtime.hub.hearing import feed
from ayb_realtime.hub.hub import Hub
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Announcement
from ayb_realtime.log.messages import to_message
from ayb_realtime.postgres import database
from tests import example
from tests.integration.scenario import (
    MakeTable,
    Owner,
    World,
    group_of,
    person,
)


async def test_silent_layer_only_costs_time(world: World) -> None:
    world.table("notes", "id int primary key")
    unheard = InMemoryChannelLayer()
    async with world.relaying(unheard):
        stream = await world.stream(person(1), "notes")
        world.insert("notes", 1, 2)
        assert await stream.next_ids(2) == [1, 2]


async def test_positions_that_the_layer_lost_are_read_from_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.table("notes", "id int primary key")
    # The feed does not poll the log here: it has to notice that positions are missing.
    monkeypatch.setattr(feed, "SILENCE_SECONDS", 3600)
    async with world.relaying():
        begin = await world.caught_up()
    stream = await world.stream(person(1), "notes")
    async with world.relaying(InMemoryChannelLayer()):
        world.insert("notes", 1, 2, 3)
        head = await world.head(begin + 3)
    await world.layer.group_send(world.group, to_message(Announcement(head), world.group))
    assert await stream.next_ids(3) == [1, 2, 3]


async def test_batch_that_comes_twice_is_delivered_once(world: World) -> None:
    world.table("notes", "id int primary key")
    stream = await world.stream(person(1), "notes")
    async with world.relaying(DoublingLayer(world.layer)):
        world.insert("notes", 1, 2, 3)
        assert await stream.next_ids(3) == [1, 2, 3]


class DoublingLayer(BaseChannelLayer):
    """Sends everything twice, through another layer."""

    def __init__(self, layer: BaseChannelLayer) -> None:
        super().__init__()
        self.layer = layer

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send twice."""
        await self.layer.group_send(group, message)
        await self.layer.group_send(group, message)


async def test_more_changes_than_the_layer_holds_all_arrive_in_order(world: World) -> None:
    world.table("notes", "id int primary key, body text")
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        world.write("insert into notes select n, repeat('x', 200) from generate_series(1, 3000) n")
        assert await stream.next_ids(3000) == list(range(1, 3001))


@pytest.mark.usefixtures("layer")
async def test_change_that_is_too_large_for_the_layer_arrives(world: World) -> None:
    world.table("notes", "id int primary key, body text")
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        world.write("insert into notes values (1, repeat('x', 3000000))")
        assert len((await stream.next_change())["record"]["body"]) == 3000000


async def test_hundred_thousand_rows_of_one_statement_all_arrive_in_order(world: World) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        subscriber = await world.subscriber(person(1), "notes")
        world.write("insert into notes select generate_series(1, 100000)")
        received = b""
        async with asyncio.timeout(120):
            while not received.endswith(b'{"id":100000}}\n\n'):
                received += await anext(subscriber)
    ids = [int(number) for number in re.findall(rb'"record":\{"id":(\d+)\}', received)]
    assert ids == list(range(1, 100_001))


async def test_databases_that_share_a_layer_have_groups_of_their_own(the_hub: Hub, server_url: str) -> None:
    with example.database(server_url) as other_url:
        async with await psycopg.AsyncConnection.connect(other_url) as connection:
            await connection.execute(
                "create schema ayb_realtime; create table ayb_realtime.epoch (server_start timestamptz)"
            )
            assert await queries.group(connection) != group_of(the_hub)


async def test_change_that_comes_while_the_log_is_asked_for_its_end_resets_no_stream(
    owner: Owner, make_table: MakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table("notes", "id int primary key")
    head_of = queries.head
    async with database.pool() as pool, await database.connect(conf.relay_database) as relay:
        the_feed = feed.Feed(pool)
        await the_feed.start()
        asked: list[int] = []

        async def overtaken(connection: queries.Connection) -> int:
            head = await head_of(connection)
            if not asked:
                owner.execute("insert into notes values (1)")
                announcement = await queries.next_batch(relay)
                assert announcement is not None
                the_feed.accept(announcement)
            asked.append(head)
            return head

        monkeypatch.setattr(queries, "head", overtaken)
        monkeypatch.setattr("ayb_realtime.hub.hearing.feed.SILENCE_SECONDS", 0.01)
        piece = await the_feed.next(frozenset)
        assert [change.action for change in piece.changes] == ["create"]
        assert asked
