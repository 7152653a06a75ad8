"""What the relay publishes: what has committed, and the head."""

import pytest
from channels.layers import BaseChannelLayer

from ayb_realtime.conf import conf
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Announcement
from ayb_realtime.postgres import database
from ayb_realtime.relay import outbox
from tests.integration.relay.conftest import Connection, Connector, LogWatch, receiver
from tests.integration.scenario import Owner, relaying


async def test_what_committed_before_the_start_is_published(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer
) -> None:
    owner.execute("insert into notes values (1, 'before')")
    hub = await receiver(memory_layer)
    async with relaying(memory_layer):
        assert await hub.records(1) == ['{"id":1,"body":"before"}']


async def test_change_without_a_notification_is_found_at_the_next_look(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer
) -> None:
    hub = await receiver(memory_layer)
    async with relaying(memory_layer):
        await hub.next()
        owner.execute(
            "insert into ayb_realtime.change (slot, relation, action) values (0, 'notes'::regclass, 'truncate')"
        )
        assert await hub.records(1) == [None]


async def test_start_says_what_is_relayed(
    notes: None, memory_layer: BaseChannelLayer, logs: LogWatch, owner: Owner
) -> None:
    async with relaying(memory_layer), await database.connect(conf.relay_database) as connection:
        head = await queries.head(connection)
    assert logs.lines == [f"relay leads: 3 tables (comments, notes, posts), position {head}"]


async def test_heartbeat_carries_the_head(owner: Owner, notes: None, memory_layer: BaseChannelLayer) -> None:
    hub = await receiver(memory_layer)
    async with relaying(memory_layer), await database.connect(conf.relay_database) as connection:
        assert await hub.next() == Announcement(await queries.head(connection))
        owner.execute("insert into notes values (1, 'x')")
        await hub.records(1)
        head = await queries.head(connection)
        assert [await hub.next(), await hub.next()] == [Announcement(head), Announcement(head)]


async def test_change_too_large_for_the_layer_is_announced_by_the_head_alone(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MESSAGE_CHARACTERS", 100)
    hub = await receiver(memory_layer)
    async with relaying(memory_layer), await database.connect(conf.relay_database) as connection:
        with owner.transaction():
            owner.execute("insert into notes values (1, 'small')")
            owner.execute("insert into notes values (2, repeat('x', 100))")
            owner.execute("insert into notes values (3, 'small')")
        batches = [await hub.next()]
        while not batches[-1].changes or batches[-1].changes[-1].record != '{"id":3,"body":"small"}':
            batches.append(await hub.next())
        head = await queries.head(connection)
    small, large, last = batches[-3:]
    assert [change.record for change in small.changes] == ['{"id":1,"body":"small"}']
    assert large == Announcement(head - 1)
    assert (small.head, last.head) == (head - 2, head)


async def test_transaction_that_takes_long_to_number_is_numbered_whatever_its_role_may_take(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer
) -> None:
    class Impatient(Connector):
        async def __call__(self) -> Connection:
            connection = await super().__call__()
            if len(self.opened) == 1:  # The connection that numbers.
                await connection.execute("set statement_timeout = '20ms'")
            return connection

    owner.execute("insert into notes select n, 'x' from generate_series(1, 50000) n")
    hub = await receiver(memory_layer)
    async with relaying(memory_layer, Impatient()):
        assert len(await hub.records(5000)) == 5000
