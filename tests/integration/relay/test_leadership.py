"""One relay leads, and a standby takes over."""

import asyncio

import pytest
from channels.layers import BaseChannelLayer

from ayb_realtime.relay import leadership
from tests.integration.relay.conftest import Connector, LogWatch, leads, receiver, standing_by
from tests.integration.relay.test_connections import KEEPER, LISTENER, WRITER
from tests.integration.scenario import Owner, relaying


async def test_stopped_leader_is_replaced_and_fenced(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leadership, "LEADER_GONE_SECONDS", 0.3)
    hub = await receiver(memory_layer)
    connect = Connector()
    async with relaying(memory_layer, connect) as stopped:
        # A suspended process keeps its connections, but does not renew its leadership.
        monkeypatch.setattr(leadership, "be_seen", lambda connection: asyncio.Event().wait())
        await asyncio.to_thread(connect.terminate, owner, KEEPER)
        await logs.until("relay leads", 2)
        async with standing_by(memory_layer, Connector(), logs) as standby:
            await leads(standby)
            owner.execute("insert into notes values (1, 'x')")
            assert await hub.records(1) == ['{"id":1,"body":"x"}']
            assert stopped is not standby


async def test_standby_takes_over_when_the_leader_stops(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch
) -> None:
    hub = await receiver(memory_layer)
    leader = relaying(memory_layer)
    await leader.__aenter__()
    async with standing_by(memory_layer, Connector(), logs) as standby:
        assert not standby.leads.is_set()
        await leader.__aexit__(None, None, None)
        await leads(standby)
        owner.execute("insert into notes values (1, 'x')")
        assert await hub.records(1) == ['{"id":1,"body":"x"}']


async def test_standby_takes_over_when_the_leader_loses_its_database(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch
) -> None:
    hub = await receiver(memory_layer)
    connect = Connector()
    async with relaying(memory_layer, connect) as leader, standing_by(memory_layer, Connector(), logs) as standby:
        connect.fails = True
        connect.terminate(owner, WRITER)
        owner.execute("insert into notes values (1, 'x')")
        await leads(standby)
        assert await hub.records(1) == ['{"id":1,"body":"x"}']
        assert not leader.leads.is_set()
        # When it continues, the old leader stands by.
        connect.fails = False
        await logs.until("stands by", 2)
        owner.execute("insert into notes values (2, 'y')")
        assert await hub.records(1) == ['{"id":2,"body":"y"}']


async def test_standby_that_loses_its_database_stands_by_again(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch
) -> None:
    connect = Connector()
    leader = relaying(memory_layer)
    await leader.__aenter__()
    async with standing_by(memory_layer, connect, logs) as standby:
        connect.terminate(owner, WRITER, LISTENER)
        await logs.until("stands by", 2)
        await leader.__aexit__(None, None, None)
        await leads(standby)
