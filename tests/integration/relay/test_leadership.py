"""One relay leads, and a standby takes over."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from channels.layers import BaseChannelLayer

from ayb_realtime.relay import leadership
from tests.integration.relay.conftest import Connector, LogWatch, leads, receiver, standing_by
from tests.integration.relay.test_connections import KEEPER, LISTENER, WRITER
from tests.integration.scenario import Owner, let_call_what_hubs_call, relaying


async def test_stopped_leader_is_replaced_and_fenced(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leadership, "LEADER_GONE_SECONDS", 0.3)
    hub = await receiver(memory_layer)
    connect = Connector()
    async with relaying(memory_layer, connect):
        # A suspended process keeps its connections, but does not renew its leadership.
        monkeypatch.setattr(leadership, "be_seen", lambda *_: asyncio.Event().wait())
        await asyncio.to_thread(connect.terminate, owner, KEEPER)
        await logs.until("relay leads", 2)
        async with relaying(memory_layer):
            await logs.until("this relay takes over")
            owner.execute("insert into notes values (1, 'x')")
            assert await hub.records(1) == ['{"id":1,"body":"x"}']


async def test_leader_that_another_has_replaced_steps_down(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch
) -> None:
    async with relaying(memory_layer):
        owner.execute("update ayb_realtime.leader set term = gen_random_uuid()")
        await logs.until("another relay has taken over")
        await logs.until("relay leads", 2)


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


@pytest.fixture
def neighbour(owner: Owner, database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of a role that may do in our schema what a hub may, in a transaction."""
    name = f"neighbour_{uuid4().hex}"
    owner.execute(f"create role {name} login password 'neighbour'".encode())
    owner.execute(f"grant usage on schema ayb_realtime to {name}".encode())
    owner.execute(f"grant select on all tables in schema ayb_realtime to {name}".encode())
    owner.execute(f"grant select on all sequences in schema ayb_realtime to {name}".encode())
    let_call_what_hubs_call(owner, name)
    url = psycopg.conninfo.make_conninfo(database_url, user=name, password="neighbour")
    with psycopg.connect(url) as connection:
        yield connection
        connection.rollback()
    for kind in ("tables", "sequences", "functions"):
        owner.execute(f"revoke all on all {kind} in schema ayb_realtime from {name}".encode())
    owner.execute(f"revoke usage on schema ayb_realtime from {name}; drop role {name}".encode())


FORBIDDEN = (
    "insert into ayb_realtime.leader values (true, gen_random_uuid(), pg_backend_pid())",
    "update ayb_realtime.leader set pid = pg_backend_pid()",
    "select from ayb_realtime.leader for share",
    "lock table ayb_realtime.leader in share mode",
    "select setval('ayb_realtime.leader_seen', ayb_realtime.milliseconds_v1())",
)


async def test_role_that_may_connect_and_read_keeps_no_relay_from_leading(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch, neighbour: psycopg.Connection[Any]
) -> None:
    async with relaying(memory_layer):  # so that there is a row to hold
        pass
    for statement in FORBIDDEN:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), neighbour.transaction():
            neighbour.execute(statement.encode())
    neighbour.execute("lock table ayb_realtime.leader in access share mode")
    neighbour.execute("select pg_advisory_lock(hashtext('ayb_realtime'), hashtext('leader'))")
    hub = await receiver(memory_layer)
    leader = relaying(memory_layer)
    await leader.__aenter__()
    async with standing_by(memory_layer, Connector(), logs) as standby:
        owner.execute("insert into notes values (1, 'x')")
        assert await hub.records(1) == ['{"id":1,"body":"x"}']
        await leader.__aexit__(None, None, None)
        await leads(standby)
