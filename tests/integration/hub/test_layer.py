"""A Channels layer that misbehaves: foreign messages, and a Redis that hangs."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis
from channels.layers import BaseChannelLayer, InMemoryChannelLayer

from ayb_realtime.conf import conf
from ayb_realtime.hub.hearing import feed
from ayb_realtime.hub.hearing.receiver import FAILS, Receiver
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.registry import close_hub, get_hub
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Action, Announcement, Change
from ayb_realtime.log.messages import to_message
from ayb_realtime.postgres import database
from ayb_realtime.relay import outbox, publisher
from embedded import valkey
from tests.integration.conftest import LAYERS, configured_layer
from tests.integration.scenario import MakeTable, Owner, Stream, World, open_stream, person, relaying

ROW = '{"id":666}'


def forged(head: int, relation: int) -> list[dict[str, Any]]:
    """Return messages that are not batches, and batches that are not the relay's."""

    def change(
        position: object = head + 1, relation: object = relation, action: object = "create", record: object = ROW
    ) -> list[object]:
        return [position, relation, action, record, None]

    positions = ("1", 1.5, True, -1, 0, head, head + 1, head + 2, 2**60, 2**70, float("nan"), float("inf"))
    heads = (0, -1, head - 1, head + 1, 2**53, 2**60, 2**63, 2**70)
    records: list[object] = [7, [1], {}, "[]", "[1]", '{"other":1}', "NaN", '{"id":']
    orders = ((head + 1, head + 1), (head + 2, head + 1))
    batches: list[object] = [
        *(None, 7, {}, [], [head], [head + 1, None], [head + 1, {}], [head + 1, [[]]], [head + 1, [7]]),
        *([head + 1, [change(relation=other)]] for other in ([1], "1", None, 1, 2**70)),
        *([head + 1, [change(record=record)]] for record in records),
        *([head + 1, [change(action=action)]] for action in ("delete", "update", "vanish", "enable", 7)),
        *([head + 1, [change(action=action, record=None)]] for action in ("delete", Action.CREATE, "truncate")),
        *([position, [change(position)]] for position in positions),
        *([head + 2, [change(first), change(second)]] for first, second in orders),
        *([number] for number in heads),
        *([number, []] for number in heads),
    ]
    no_json: list[object] = [None, True, 7, "", "no JSON", b"\xff", [], {}, "[" * 100_000, "\ud800", "x" * 6_000_000]
    bodies = [*no_json, *map(json.dumps, batches)]
    seals = [None, 7, "", "0" * 64, "\ud800", "\u00e9" * 64]
    return [
        *({}, {"type": "ayb_realtime.batch"}, {"type": "another", "batch": bodies[-1]}),
        *({"type": "ayb_realtime.batch", "batch": body} for body in bodies),
        *({"type": "ayb_realtime.batch", "batch": json.dumps([head + 1, [change()]]), "seal": seal} for seal in seals),
    ]


async def relation_of(owner: Owner, table: str) -> int:
    """Return the oid of a table."""
    (oid,) = owner.execute("select %s::regclass::oid::bigint", [table]).fetchone() or (0,)
    return int(oid)


@pytest_asyncio.fixture
async def heard(
    layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stream]:
    """A stream of the table ``notes`` whose hub learns of new changes only through the layer."""
    monkeypatch.setattr(feed, "SILENCE_SECONDS", 3600)
    make_table("notes", "id int primary key")
    async with relaying(layer):
        stream = await open_stream(the_hub, person(1), "notes")
        owner.execute("insert into notes values (0)")
        assert (await stream.next_change())["record"] == {"id": 0}
        yield stream


@pytest.mark.usefixtures("layer")
async def test_forged_messages_are_not_told_and_stop_nothing(world: World, heard: Stream) -> None:
    relation = await relation_of(world.owner, "notes")
    for row_id in range(1, len(forged(0, 0)) + 1, 8):
        head = world.hub.position
        for message in forged(head, relation)[row_id - 1 : row_id + 7]:
            with suppress(TypeError, ValueError, OverflowError):  # from a layer that does not take it
                await world.layer.group_send(world.group, message)
        world.write("insert into notes values (%s)", [row_id])
        event = await heard.next()
        assert (event.event, event.json()["record"]) == ("message", {"id": row_id})
        assert int(event.id) == head + 1


@pytest.mark.parametrize("layer", ["core", "pubsub", "encrypted"], indirect=True)
@pytest.mark.usefixtures("layer")
async def test_bytes_that_the_layer_cannot_read_are_dropped_without_a_pause(
    world: World, heard: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    group, receiver = world.group, world.hub._hearing.inlet
    assert isinstance(receiver, Receiver)
    layer_channel = receiver._layer_channel
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as attacker:
        for row_id, garbage in enumerate((b"", b"\xc1", b"\x80", b"\x07", b"\x90", b"\xff" * 1000, b"\x91" * 5000), 1):
            if layer_channel.startswith("specific."):
                attacker.zadd(f"asgi{layer_channel.partition('!')[0]}!", {b"-" * 12 + garbage: 1.0})
            attacker.publish(f"asgi__group__{group}", garbage)
            world.write("insert into notes values (%s)", [row_id])
            assert (await heard.next_change())["record"] == {"id": row_id}
    assert FAILS not in caplog.messages


@pytest.mark.usefixtures("layer")
async def test_true_message_that_is_sent_again_and_again_is_told_once_and_costs_no_question(
    world: World, heard: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, looks = world.group, []
    look = queries.bounds

    async def noted(connection: Any) -> tuple[int, int]:
        looks.append(connection)
        return await look(connection)

    monkeypatch.setattr(queries, "bounds", noted)
    async with await database.connect(conf.relay_database) as connection:
        head = world.hub.position
        (change,) = await queries.read(connection, after=head - 1, upto=head)
    for row_id in range(1, 20):
        for old in (Announcement(head, (change,)), Announcement(head), Announcement(head - 1)):
            await world.layer.group_send(group, to_message(old, group))
        world.write("insert into notes values (%s)", [row_id])
        assert (await heard.next_change())["record"] == {"id": row_id}
    assert looks == []


@pytest.mark.usefixtures("layer")
async def test_head_that_is_not_there_makes_the_hub_ask_once_and_resets_nothing(world: World, heard: Stream) -> None:
    group = world.group
    for row_id, false in enumerate((1, 2, 1000, 2**60), 1):
        await world.layer.group_send(group, to_message(Announcement(world.hub.position + false), group))
        world.write("insert into notes values (%s)", [row_id])
        event = await heard.next()
        assert (event.event, event.json()["record"]) == ("message", {"id": row_id})


async def test_change_that_cannot_be_delivered_is_read_from_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.table("notes", "id int primary key")
    stream = await world.stream(person(1), "notes")
    head = world.hub.position
    # As a bug of ours could send it: a sealed message is not validated further.
    wrong: Any = [1]
    changed = (Change(head + 1, wrong, Action.CREATE, ROW),)
    async with world.relaying(InMemoryChannelLayer()):
        world.hub.feed.accept(Announcement(head + 1, changed))
        world.write("insert into notes values (1)")
        assert (await stream.next_change())["record"] == {"id": 1}


class ForeignLayer(InMemoryChannelLayer):
    """A layer whose messages another site seals."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await super().group_send(group, {**message, "seal": "0" * 64})


async def test_relay_with_another_secret_costs_time_and_one_line_of_the_log(
    settings: Any, owner: Owner, make_table: MakeTable, caplog: pytest.LogCaptureFixture
) -> None:
    make_table("notes", "id int primary key")
    layer = ForeignLayer()
    the_hub = Hub(layer, database.pool())
    await the_hub.start()
    async with relaying(layer):
        stream = await open_stream(the_hub, person(1), "notes")
        for row_id in range(3):
            owner.execute("insert into notes values (%s)", [row_id])
            assert (await stream.next_change())["record"] == {"id": row_id}
    await the_hub.close()
    lines = [line for line in caplog.messages if "SECRET_KEY" in line]
    assert len(lines) == 1
    assert sum("no word of new changes" in line for line in caplog.messages) == 1


async def test_repeated_messages_do_not_keep_the_hub_from_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "SILENCE_SECONDS", 3600)
    monkeypatch.setattr(feed, "DISTRUST_SECONDS", 0.2)
    world.table("notes", "id int primary key")
    stream = await world.stream(person(1), "notes")
    async with await database.connect(conf.relay_database) as connection:
        old = to_message(Announcement(await queries.head(connection)), world.group)

    async def attack() -> None:
        while True:
            await world.layer.group_send(world.group, old)
            await asyncio.sleep(0)

    attacking = asyncio.create_task(attack())
    async with world.relaying(InMemoryChannelLayer()):
        world.write("insert into notes values (1)")
        assert (await stream.next_change())["record"] == {"id": 1}
    attacking.cancel()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A Redis that the test may stop: its URL and process."""
    with valkey(tmp_path) as url:
        with redis.Redis.from_url(url) as connection:
            process = int(connection.info("server")["process_id"])
        try:
            yield url, process
        finally:
            os.kill(process, signal.SIGCONT)


@pytest.fixture(params=["core", "pubsub"])
def own_layer(request: pytest.FixtureRequest, own_redis: tuple[str, int], settings: Any) -> BaseChannelLayer:
    """A layer through that Redis."""
    hosts = [{"address": own_redis[0], "socket_timeout": None}]
    settings.CHANNEL_LAYERS = {"default": {**LAYERS[request.param], "CONFIG": {"hosts": hosts}}}
    return configured_layer()


async def test_numbering_does_not_wait_for_a_redis_that_hangs(
    own_layer: BaseChannelLayer,
    own_redis: tuple[str, int],
    owner: Owner,
    make_table: MakeTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "MESSAGE_CHARACTERS", 1000)
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", 3600)
    make_table("notes", "id int primary key, body text")
    async with relaying(own_layer), await database.connect(conf.relay_database) as connection:
        os.kill(own_redis[1], signal.SIGSTOP)
        head = await queries.head(connection)
        for n in range(10):
            owner.execute("insert into notes select %s + n, repeat('x', 900) from generate_series(1, 20) n", [100 * n])
            async with asyncio.timeout(30):
                while await queries.head(connection) < head + 20 * (n + 1):
                    pass


async def test_redis_that_hangs_costs_a_stream_only_time(
    own_layer: BaseChannelLayer, own_redis: tuple[str, int], world: World
) -> None:
    world.table("notes", "id int primary key")
    async with world.relaying():
        early = await world.stream(person(1), "notes")
        os.kill(own_redis[1], signal.SIGSTOP)
        late = await world.stream(person(2), "notes")
        for n in range(3):
            world.write("insert into notes values (%s)", [n])
            assert (await early.next_change())["record"] == (await late.next_change())["record"] == {"id": n}
        async with asyncio.timeout(30):
            await close_hub()


async def test_redis_that_hangs_from_the_start_keeps_no_stream_closed(
    own_layer: BaseChannelLayer, own_redis: tuple[str, int], database_url: str, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    os.kill(own_redis[1], signal.SIGSTOP)
    async with relaying(own_layer):
        stream = await open_stream(await get_hub(), person(1), "notes")
        owner.execute("insert into notes values (1)")
        assert (await stream.next_change())["record"] == {"id": 1}
        async with asyncio.timeout(30):
            await close_hub()


async def test_redis_that_goes_on_is_used_again(
    own_layer: BaseChannelLayer, own_redis: tuple[str, int], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", 0.2)
    world.table("notes", "id int primary key")
    async with world.relaying():
        stream = await world.stream(person(1), "notes")
        os.kill(own_redis[1], signal.SIGSTOP)
        world.write("insert into notes values (1)")
        assert (await stream.next_change())["record"] == {"id": 1}
        os.kill(own_redis[1], signal.SIGCONT)
        # From now on only the layer announces changes.
        monkeypatch.setattr(feed, "SILENCE_SECONDS", 3600)
        for n in (2, 3, 4):
            world.write("insert into notes values (%s)", [n])
            assert (await stream.next_change())["record"] == {"id": n}
