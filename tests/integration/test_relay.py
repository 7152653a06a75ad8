"""The relay: it numbers and publishes whatever commits, and gets over whatever fails around it."""

import asyncio
import gc
import logging
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from channels.layers import BaseChannelLayer, InMemoryChannelLayer, get_channel_layer

from ayb_realtime.exceptions import NotificationsUnheard, PositionUnavailable
from ayb_realtime.log import changes, queries
from ayb_realtime.log.changes import Batch
from ayb_realtime.log.messages import from_message
from ayb_realtime.postgres import database
from ayb_realtime.relay import leadership, publisher
from ayb_realtime.relay import relay as relay_module
from ayb_realtime.relay.relay import Relay
from embedded import free_port
from tests.integration.conftest import LAYERS
from tests.integration.scenario import MakeTable, Owner, relaying

Connection = psycopg.AsyncConnection[Any]


class Receiver:
    """A member of the layer's group, as a hub is one."""

    def __init__(self, layer: BaseChannelLayer, group: str, layer_channel: str) -> None:
        self._layer = layer
        self._group = group
        self._layer_channel = layer_channel

    async def next(self) -> Batch:
        """Wait for the next message."""
        async with asyncio.timeout(30):
            return from_message(await self._layer.receive(self._layer_channel), self._group)

    async def records(self, count: int) -> list[str | None]:
        """Wait for so many changes, and return their records."""
        records: list[str | None] = []
        while len(records) < count:
            records += [change.record for change in (await self.next()).changes]
        return records


async def receiver(layer: BaseChannelLayer) -> Receiver:
    """Join the layer's group."""
    layer_channel = await layer.new_channel()
    async with await database.connect("default") as connection:
        group = await queries.group(connection)
    await layer.group_add(group, layer_channel)
    return Receiver(layer, group, layer_channel)


class Connector:
    """Opens connections for a relay, and keeps them in view. While it ``fails``, none can be had."""

    def __init__(self) -> None:
        self.fails = False
        self.opened: list[Connection] = []

    async def __call__(self) -> Connection:
        if self.fails:
            nobody = {**database.connection_parameters("default"), "port": free_port()}
            return await psycopg.AsyncConnection.connect(**nobody)
        self.opened.append(await database.connect("default"))
        return self.opened[-1]

    def terminate(self, owner: Owner, *ordinals: int) -> None:
        """End some of the server's processes behind the connections."""
        for ordinal in ordinals:
            assert owner.execute(
                "select pg_terminate_backend(%s, 30000)", [self.opened[ordinal].info.backend_pid]
            ).fetchone() == (True,)


class LogWatch(logging.Handler):
    """Tells when something is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._news = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self._news.set()

    def count(self, text: str) -> int:
        return sum(text in line for line in self.lines)

    async def until(self, text: str, times: int = 1) -> None:
        """Wait until a line with this text has been logged so many times."""
        async with asyncio.timeout(30):
            while self.count(text) < times:
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def logs() -> Iterator[LogWatch]:
    """What the relay logs, and what asyncio has to complain about."""
    watch = LogWatch()
    loggers = [logging.getLogger(name) for name in ("ayb_realtime.relay", "asyncio")]
    for logger in loggers:
        logger.addHandler(watch)
    yield watch
    for logger in loggers:
        logger.removeHandler(watch)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that a test would only sit through."""
    monkeypatch.setattr(leadership, "TRY_SECONDS", 0.02)
    monkeypatch.setattr(relay_module, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(publisher, "PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(relay_module, "backoff_seconds", lambda failures: 0.02)


@pytest_asyncio.fixture
async def notes(make_table: MakeTable) -> None:
    """The table ``notes``, streamed; whatever was changed before is numbered."""
    make_table("notes", "id int primary key, body text")
    async with await database.connect("default") as connection:
        while await queries.next_batch(connection):
            pass


@asynccontextmanager
async def standing_by(layer: BaseChannelLayer, connect: Connector, logs: LogWatch) -> AsyncIterator[Relay]:
    """Run a relay beside a leader; from the start of the block on, it stands by."""
    seen = logs.count("stands by")
    relay = Relay(layer, connect)
    running = asyncio.create_task(relay.run())
    await logs.until("stands by", seen + 1)
    try:
        yield relay
    finally:
        running.cancel()
        await asyncio.wait([running])


async def leads(relay: Relay) -> None:
    """Wait until a relay leads."""
    async with asyncio.timeout(30):
        await relay.leads.wait()


async def test_what_committed_before_the_start_is_published(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer
) -> None:
    owner.execute("insert into notes values (1, 'before')")
    hub = await receiver(memory_layer)
    async with relaying(memory_layer):
        assert await hub.records(1) == ['{"id":1,"body":"before"}']


async def test_commit_wakes_a_sleeping_relay(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "HEARTBEAT_SECONDS", 3600.0)
    hub = await receiver(memory_layer)
    async with relaying(memory_layer):
        for n in (1, 2, 3):
            owner.execute("insert into notes values (%s, 'x')", [n])
            assert await hub.records(1) == [f'{{"id":{n},"body":"x"}}']


async def test_relay_under_load_tells_writers_not_to_notify_and_later_to_notify_again(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "HEARTBEAT_SECONDS", 3600.0)
    hub = await receiver(memory_layer)
    with psycopg.connect(database_url, autocommit=True) as other, psycopg.connect(database_url) as late:
        other.execute("listen ayb_realtime")
        async with relaying(memory_layer):
            await until(other, ASLEEP)
            await asyncio.to_thread(write_until, other, "is awake", f"select not ({ASLEEP})")
            for _ in other.notifies(timeout=0):
                pass
            # This one is told not to notify, and commits only when the relay is about to sleep.
            late.execute("insert into notes values (0, 'late')")
            row = other.execute("select count(*) from notes").fetchone()
            await until(other, ASLEEP)
            late.commit()
            assert not list(other.notifies(timeout=0))
            records = await hub.records((row or (0,))[0] + 1)
            assert records[-1] == '{"id":0,"body":"late"}'
            # And from now on they notify again.
            for n in (-1, -2, -3):
                owner.execute("insert into notes values (%s, 'x')", [n])
                assert await hub.records(1) == [f'{{"id":{n},"body":"x"}}']


async def test_relay_that_sleeps_for_long_is_still_notified(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "HEARTBEAT_SECONDS", 3600.0)
    hub = await receiver(memory_layer)
    async with relaying(memory_layer):
        await until(owner, ASLEEP)
        for n in (1, 2):
            # As if it had been seen asleep long ago, and not since; or the clock had gone.
            owner.execute("select setval('ayb_realtime.asleep_at', 1)")
            await until(owner, "select last_value > 1 from ayb_realtime.asleep_at")
            owner.execute("insert into notes values (%s, 'x')", [n])
            assert await hub.records(1) == [f'{{"id":{n},"body":"x"}}']


ASLEEP = "select last_value > 0 from ayb_realtime.asleep_at"
BURSTS, WRITERS = 60, 3


async def test_relay_that_falls_asleep_again_and_again_misses_no_commit(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No regular look would find what no notification told of; and it is asleep as soon as it may be.
    monkeypatch.setattr(relay_module, "HEARTBEAT_SECONDS", 3600.0)
    monkeypatch.setattr(relay_module, "IDLE_SECONDS", 0.003)
    awake = 0
    async with relaying(memory_layer):
        for burst in range(BURSTS):
            writers = [asyncio.to_thread(write_slowly, database_url, burst, number) for number in range(WRITERS)]
            awake += sum(await asyncio.gather(*writers))
            # Nobody writes any more, so a commit that the relay has missed stays where it is.
            await until(owner, f"select {NUMBERED} = count(*) from notes")
    # Some of them were told not to notify.
    assert awake > 0


NUMBERED = """
(select sum(size) from ayb_realtime.batch b where exists (
    select from ayb_realtime.change c
     where c.id between b.first_id and b.last_id and c.relation = 'notes'::regclass and c.action = 'create'))
"""


def write_slowly(database_url: str, burst: int, number: int) -> int:
    """Insert some rows, and commit each a moment later; return how many of them the relay wanted no word of."""
    chance = random.Random(f"{burst} {number}")
    awake = 0
    with psycopg.connect(database_url) as connection:
        for row in range(6):
            connection.execute("insert into notes values (%s, 'x')", [(burst * WRITERS + number) * 6 + row])
            cursor = connection.execute(
                "select last_value = 0, pg_sleep(%s) from ayb_realtime.asleep_at",
                [chance.choice((0, 0, 0.002, 0.01))],
            )
            awake += (cursor.fetchone() or (False,))[0]
            connection.commit()
    return awake


def write_until(connection: Owner, body: str, condition: str) -> None:
    """Insert rows, each in a transaction of its own, until a condition holds."""
    n = 0
    while connection.execute(condition.encode()).fetchone() != (True,):
        n += 1
        connection.execute("insert into notes values (%s, %s)", [n, body])


async def until(connection: Owner, condition: str) -> None:
    """Wait until a condition holds in the database."""
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(connection.execute, condition.encode())).fetchone() != (True,):
            pass


async def test_stopped_leader_is_replaced_and_fenced(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leadership, "GONE_SECONDS", 0.3)
    hub = await receiver(memory_layer)
    connect = Connector()
    async with relaying(memory_layer, connect) as stopped:
        # A process that is stopped keeps its connections, but does not say that it is there.
        monkeypatch.setattr(leadership, "be_seen", lambda connection: asyncio.Event().wait())
        await asyncio.to_thread(connect.terminate, owner, KEEPER)
        await logs.until("relay leads", 2)
        async with standing_by(memory_layer, Connector(), logs) as standby:
            await leads(standby)
            owner.execute("insert into notes values (1, 'x')")
            assert await hub.records(1) == ['{"id":1,"body":"x"}']
            assert stopped is not standby


async def test_new_epoch_begins_on_another_cluster_far_above_the_old_one(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch
) -> None:
    async with await database.connect("default") as connection:
        before = await queries.head(connection)
        owner.execute("insert into notes values (1, 'x')")
        await queries.next_batch(connection)
        owner.execute("update ayb_realtime.epoch set place = 'another'")
        async with relaying(memory_layer):
            oldest, head = await queries.bounds(connection)
            assert oldest == head > before + 1
            assert logs.count("the log begins anew") == 1
            with pytest.raises(PositionUnavailable):
                await queries.read(connection, after=before, upto=before + 1)
        assert await queries.ensure_epoch(connection) is False


# What a restore of the data alone does, in one transaction: the relay finds no table missing.
RESTORED = [
    f"""create temp table saved_{name} on commit drop as table ayb_realtime.{name};
        delete from ayb_realtime.{name};
        insert into ayb_realtime.{name} select * from saved_{name}"""
    for name in ("batch", "epoch", "change")
]
# And to remove the log and make it again.
MADE_AGAIN = ["delete from ayb_realtime.epoch", "select ayb_realtime.ensure_epoch_v1()"]


@pytest.mark.parametrize("replaced", [RESTORED, MADE_AGAIN], ids=["restored", "made again"])
async def test_log_that_is_replaced_under_the_relay_is_begun_with_again(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch, replaced: list[str]
) -> None:
    owner.execute("insert into notes values (1, 'x')")
    hub = await receiver(memory_layer)
    async with relaying(memory_layer), await database.connect("default") as connection:
        assert await hub.records(1) == ['{"id":1,"body":"x"}']
        before = await queries.head(connection)
        with owner.transaction():
            for statements in replaced:
                owner.execute(statements.encode())
        await logs.until("relay leads", 2)
        assert await queries.epoch(connection) == await queries.head(connection) > before + 1
        # Nothing is said of the positions before any more.
        while (message := await hub.next()).head <= before:
            pass
        owner.execute("insert into notes values (2, 'y')")
        while not message.changes:
            message = await hub.next()
            assert message.head > before
        assert [change.record for change in message.changes] == ['{"id":2,"body":"y"}']


async def test_change_of_which_no_word_came_is_found_at_the_next_look(
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
    async with relaying(memory_layer), await database.connect("default") as connection:
        head = await queries.head(connection)
    assert logs.lines == [f"relay leads: 3 tables (comments, notes, posts), position {head}"]


async def test_heartbeat_carries_the_head(owner: Owner, notes: None, memory_layer: BaseChannelLayer) -> None:
    hub = await receiver(memory_layer)
    async with relaying(memory_layer), await database.connect("default") as connection:
        assert await hub.next() == Batch(await queries.head(connection))
        owner.execute("insert into notes values (1, 'x')")
        await hub.records(1)
        head = await queries.head(connection)
        assert [await hub.next(), await hub.next()] == [Batch(head), Batch(head)]


async def test_change_too_large_for_the_layer_is_announced_by_the_head_alone(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MESSAGE_CHARACTERS", 100)
    hub = await receiver(memory_layer)
    async with relaying(memory_layer), await database.connect("default") as connection:
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
    assert large == Batch(head - 1)
    assert (small.head, last.head) == (head - 2, head)


async def test_transaction_that_takes_long_to_number_is_numbered_whatever_its_role_may_take(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer
) -> None:
    class Impatient(Connector):
        async def __call__(self) -> Connection:
            connection = await super().__call__()
            if len(self.opened) == 1:  # that which numbers
                await connection.execute("set statement_timeout = '20ms'")
            return connection

    owner.execute("insert into notes select n, 'x' from generate_series(1, 50000) n")
    hub = await receiver(memory_layer)
    async with relaying(memory_layer, Impatient()):
        assert len(await hub.records(5000)) == 5000


async def test_relay_that_does_not_hear_itself_says_why(
    database_url: str, memory_layer: BaseChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "ANSWER_SECONDS", 0.2)
    opened: list[None] = []

    async def connect() -> Connection:
        # The second one listens. In another database, like behind a pooler, it hears nothing.
        opened.append(None)
        if len(opened) == 2:
            return await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True)
        return await database.connect("default")

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
    async with relaying(memory_layer, connect), await database.connect("default") as connection:
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
        # What was numbered as the connection was lost may not have been published. Then its position is.
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
        # Back again, the old leader stands by.
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


async def until_waiting(observer: Connection, waiting: Connection) -> None:
    """Return once a connection waits for a lock."""
    query = "select cardinality(pg_blocking_pids(%s)) > 0"
    async with asyncio.timeout(30):
        while await (await observer.execute(query, [waiting.info.backend_pid])).fetchone() != (True,):
            pass


async def until_head(connection: Connection, position: int) -> None:
    """Wait until the log has come to a position."""
    async with asyncio.timeout(30):
        while await queries.head(connection) < position:
            pass


@pytest.mark.parametrize("kind", ["core", "pubsub"])
async def test_layer_that_fails_holds_nothing_up_and_is_logged_once(
    owner: Owner, notes: None, settings: Any, logs: LogWatch, kind: str
) -> None:
    nobody = {"hosts": [f"redis://127.0.0.1:{free_port()}"]}
    settings.CHANNEL_LAYERS = {"default": {**LAYERS[kind], "CONFIG": nobody}}
    layer = get_channel_layer()
    assert layer is not None
    async with relaying(layer), await database.connect("default") as connection:
        await logs.until("the Channels layer fails")
        head = await queries.head(connection)
        for n in range(1, 4):
            owner.execute("insert into notes values (%s, 'x')", [n])
            await until_head(connection, head + n)
        assert len(await queries.read(connection, after=head, upto=head + 3)) == 3
    assert logs.count("the Channels layer fails") == 1
    assert logs.count("lost") == 0


class FailingLayer(InMemoryChannelLayer):
    """An in-memory layer that fails for as long as it is told to."""

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
            self.tried: list[Batch] = []
            self.told: asyncio.Queue[int] = asyncio.Queue()

        async def group_send(self, group: str, message: dict[str, Any]) -> None:
            self.tried.append(from_message(message, group))
            self.told.put_nowait(self.tried[-1].head)
            await super().group_send(group, message)

    monkeypatch.setattr(changes, "MESSAGE_CHARACTERS", 1000)
    layer = NotedLayer()
    layer.fails = False
    hub = await receiver(layer)
    async with relaying(layer), await database.connect("default") as connection:
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
        assert {batch.changes for batch in layer.tried[tried:]} == {()}
        owner.execute("insert into notes values (102, 'after')")
        assert await hub.records(1) == ['{"id":102,"body":"after"}']


async def test_both_connections_lost_at_once_leave_no_complaint_of_asyncio(
    owner: Owner, notes: None, memory_layer: BaseChannelLayer, logs: LogWatch
) -> None:
    connect = Connector()
    async with relaying(memory_layer, connect):
        with owner.transaction():
            # The numbering waits in the database, and does not see that the listening has ended.
            owner.execute("lock table ayb_realtime.batch in access exclusive mode")
            async with await database.connect("default") as observer:
                await until_waiting(observer, connect.opened[WRITER])
            connect.terminate(owner, LISTENER)
            for _ in range(10):
                await asyncio.sleep(0)
            connect.terminate(owner, WRITER)
        await logs.until("relay leads", 2)
    gc.collect()
    assert logs.count("never retrieved") == 0
