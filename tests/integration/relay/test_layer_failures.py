"""A Channels layer that fails: nothing waits for it, and the relay uses it again once it works."""

import asyncio
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, get_channel_layer

from ayb_realtime.conf import conf
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Announcement
from ayb_realtime.log.messages import from_message
from ayb_realtime.postgres import database
from ayb_realtime.relay import outbox
from embedded import free_port
from tests.integration.conftest import LAYERS
from tests.integration.relay.conftest import LogWatch, receiver
from tests.integration.scenario import Owner, relaying, until_head


@pytest.mark.parametrize("kind", ["core", "pubsub"])
async def test_layer_that_fails_holds_nothing_up_and_is_logged_once(
    owner: Owner, notes: None, settings: Any, logs: LogWatch, kind: str
) -> None:
    unreachable = {"hosts": [f"redis://127.0.0.1:{free_port()}"]}
    settings.CHANNEL_LAYERS = {"default": {**LAYERS[kind], "CONFIG": unreachable}}
    layer = get_channel_layer()
    assert layer is not None
    async with relaying(layer), await database.connect(conf.relay_database) as connection:
        await logs.until("the Channels layer fails")
        head = await queries.head(connection)
        for n in range(1, 4):
            owner.execute("insert into notes values (%s, 'x')", [n])
            await until_head(connection, head + n)
        assert len(await queries.read(connection, after=head, upto=head + 3)) == 3
    assert logs.count("the Channels layer fails") == 1
    assert logs.count("lost") == 0


class FailingLayer(InMemoryChannelLayer):
    """An in-memory layer that fails on request."""

    fails = True

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if self.fails:
            raise ConnectionError("no way through")
        await super().group_send(group, message)


async def test_layer_that_is_back_is_logged_and_used(owner: Owner, notes: None, logs: LogWatch) -> None:
    layer = FailingLayer()
    hub = await receiver(layer)
    async with relaying(layer):
        for times in (1, 2):
            layer.fails = True
            await logs.until("the Channels layer fails (no way through)", times)
            layer.fails = False
            await logs.until("the Channels layer is back", times)
        owner.execute("insert into notes values (1, 'x')")
        assert await hub.records(1) == ['{"id":1,"body":"x"}']


async def test_after_a_failure_only_the_head_is_sent_until_it_has_arrived(
    owner: Owner, notes: None, logs: LogWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NotedLayer(FailingLayer):
        def __init__(self) -> None:
            super().__init__()
            self.tried: list[Announcement] = []
            self.told: asyncio.Queue[int] = asyncio.Queue()

        async def group_send(self, group: str, message: dict[str, Any]) -> None:
            self.tried.append(from_message(message, group))
            self.told.put_nowait(self.tried[-1].head)
            await super().group_send(group, message)

    monkeypatch.setattr(outbox, "MESSAGE_CHARACTERS", 1000)
    layer = NotedLayer()
    layer.fails = False
    hub = await receiver(layer)
    async with relaying(layer), await database.connect(conf.relay_database) as connection:
        await hub.next()
        layer.fails = True
        head = await queries.head(connection)
        owner.execute("insert into notes select n, repeat('x', 900) from generate_series(1, 100) n")
        await until_head(connection, head + 100)
        await logs.until("the Channels layer fails")
        tried = len(layer.tried)
        owner.execute("insert into notes values (101, 'meanwhile')")
        while await layer.told.get() < head + 101:
            pass
        layer.fails = False
        await logs.until("the Channels layer is back")
        assert {announcement.changes for announcement in layer.tried[tried:]} == {()}
        owner.execute("insert into notes values (102, 'after')")
        assert await hub.records(1) == ['{"id":102,"body":"after"}']
