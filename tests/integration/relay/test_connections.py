"""A relay whose database cannot be reached or is lost, or which gets no notification."""

import asyncio
import gc
import os

import psycopg
import pytest
from channels.layers import BaseChannelLayer

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import NotificationsUnheard
from ayb_realtime.log import queries
from ayb_realtime.postgres import database, notifications
from ayb_realtime.relay.relay import Relay
from tests.integration.relay.conftest import Connection, Connector, LogWatch, receiver
from tests.integration.scenario import Owner, relaying, until_blocked


async def test_relay_that_does_not_hear_itself_reports_why(
    database_url: str, memory_layer: BaseChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "ANSWER_SECONDS", 0.2)
    opened: list[None] = []

    async def connect() -> Connection:
        # The second connection listens. In another database, as behind a pooler, it gets no notification.
        opened.append(None)
        if len(opened) == 2:
            return await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True)
        return await database.connect(conf.relay_database)

    explained = pytest.raises(NotificationsUnheard, match=r"pooler in transaction mode.*direct connection.*--database")
    async with asyncio.timeout(30):
        with explained:
            await Relay(memory_layer, connect).run()
    assert len(opened) == 3


async def test_database_that_cannot_be_reached_at_the_start_is_not_tried_again(memory_layer: BaseChannelLayer) -> None:
    connect = Connector()
    connect.fails = True
    with pytest.raises(psycopg.OperationalError, match="refused"):
        await Relay(memory_layer, connect).run()


WRITER, LISTENER, KEEPER = 0, 1, 2


@pytest.mark.parametrize("lost", [(WRITER,), (LISTENER,), (KEEPER,), (WRITER, LISTENER, KEEPER)])
async def test_lost_connections_are_replaced_and_nothing_is_missing(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch, lost: tuple[int, ...]
) -> None:
    hub = await receiver(memory_layer)
    connect = Connector()
    async with relaying(memory_layer, connect), await database.connect(conf.relay_database) as connection:
        start = await queries.head(connection)
        owner.execute("insert into notes values (1, 'before')")
        assert await hub.records(1) == ['{"id":1,"body":"before"}']
        connect.fails = True
        connect.terminate(owner, *lost)
        owner.execute("insert into notes values (2, 'meanwhile')")
        await logs.until("begins again", 2)
        owner.execute("insert into notes values (3, 'still')")
        connect.fails = False
        await logs.until("relay leads", 2)
        owner.execute("insert into notes values (4, 'after')")
        # What was numbered when the connection was lost may not have been published. Then the head is.
        while (await hub.next()).head < start + 4:
            pass
        logged = await queries.read(connection, after=start, upto=start + 4)
        assert [change.record for change in logged] == [
            '{"id":1,"body":"before"}',
            '{"id":2,"body":"meanwhile"}',
            '{"id":3,"body":"still"}',
            '{"id":4,"body":"after"}',
        ]
        assert len(connect.opened) == 6
    gc.collect()
    assert logs.count("never retrieved") == 0


async def test_both_connections_lost_at_once_leave_no_complaint_of_asyncio(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch
) -> None:
    connect = Connector()
    async with relaying(memory_layer, connect):
        with owner.transaction():
            # The numbering waits in the database, and does not notice that the listening connection has ended.
            owner.execute("lock table ayb_realtime.batch in access exclusive mode")
            await until_blocked(owner, connect.opened[WRITER].info.backend_pid)
            connect.terminate(owner, LISTENER)
            for _ in range(10):
                await asyncio.sleep(0)
            connect.terminate(owner, WRITER)
        await logs.until("relay leads", 2)
    gc.collect()
    assert logs.count("never retrieved") == 0
