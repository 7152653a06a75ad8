"""How hubs hear without a Channels layer: by LISTEN, and from a relay in their own process.

The feed asks the log for nothing here unless it hears of something: its look at the log would hide a deaf hub.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psycopg
import pytest
from channels.layers import BaseChannelLayer, InMemoryChannelLayer

from ayb_realtime.checks.relay import check_listen
from ayb_realtime.conf import conf
from ayb_realtime.hub.hearing import feed, listener
from ayb_realtime.hub.hub import Hub
from ayb_realtime.log import queries
from ayb_realtime.log.changes import Action, Announcement, Change
from ayb_realtime.log.local_hubs import LocalHubs, local_hubs
from ayb_realtime.log.messages import from_payload
from ayb_realtime.postgres import database, notifications
from ayb_realtime.relay import numbering
from ayb_realtime.testing import running_relay
from tests.integration.scenario import MakeTable, Owner, group_of, open_stream, person, relaying, until, until_head

LISTENERS = "select pid from pg_stat_activity where query like 'listen %%' and query ~ %s"


@pytest.fixture(autouse=True)
def no_look_at_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only what is heard make the feed read the log."""
    monkeypatch.setattr(feed, "SILENCE_SECONDS", 3600)


@pytest.fixture
def notes(make_table: MakeTable) -> None:
    """The streamed table ``notes``."""
    make_table("notes", "id int primary key")


@asynccontextmanager
async def hub_with(layer: BaseChannelLayer | None) -> AsyncIterator[Hub]:
    """Run a hub."""
    hub = Hub(layer, database.pool())
    await hub.start()
    try:
        yield hub
    finally:
        await hub.close()


async def until_listening(owner: Owner, group: str, count: int = 1) -> list[int]:
    """Wait until this many connections listen for a group; return their process ids."""
    await until(owner, f"select count(*) = {count} from ({LISTENERS}) as pids", [group])
    return [pid for (pid,) in owner.execute(LISTENERS.encode(), [group]).fetchall()]


async def test_several_hubs_without_a_layer_hear_by_notification(owner: Owner, notes: None) -> None:
    async with AsyncExitStack() as stack:
        hubs = [await stack.enter_async_context(hub_with(None)) for _ in range(3)]
        await until_listening(owner, group_of(hubs[0]), 3)
        await stack.enter_async_context(relaying(None))
        streams = [await open_stream(hub, person(1), "notes") for hub in hubs]
        for row_id in range(3):
            owner.execute("insert into notes values (%s)", [row_id])
            assert [await stream.next_ids(1) for stream in streams] == [[row_id]] * 3
        owner.execute("insert into notes select generate_series(3, 5000)")
        assert [await stream.next_ids(4998) for stream in streams] == [list(range(3, 5001))] * 3


class Gate:
    """Connects once it is open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self._connect = database.connect
        monkeypatch.setattr(database, "connect", self.connect)

    async def connect(self, alias: str, **options: bool) -> Any:
        await self.open.wait()
        return await self._connect(alias, **options)


async def test_what_is_announced_while_the_listening_connection_is_lost_arrives(
    owner: Owner, notes: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "RETRY_SECONDS", 0.01)
    async with await database.connect(conf.relay_database) as connection, relaying(None):
        gate = Gate(monkeypatch)
        async with hub_with(None) as hub:
            (pid,) = await until_listening(owner, group_of(hub))
            stream = await open_stream(hub, person(1), "notes")
            gate.open.clear()
            owner.execute("select pg_terminate_backend(%s, 30000)", [pid])
            head = await queries.head(connection)
            owner.execute("insert into notes values (1)")
            await until_head(connection, head + 1)
            gate.open.set()
            assert await stream.next_ids(1) == [1]
            owner.execute("insert into notes values (2)")
            assert await stream.next_ids(1) == [2]
    assert any("the connection that listens for new changes fails" in line for line in caplog.messages)


async def test_relay_whose_notifying_connection_is_lost_notifies_again(
    owner: Owner, notes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbering, "ANNOUNCE_SECONDS", 0.05)
    async with hub_with(None) as hub, relaying(None):
        await until_listening(owner, group_of(hub))
        stream = await open_stream(hub, person(1), "notes")
        for row_id in range(1, 4):
            owner.execute("insert into notes values (%s)", [row_id])
            assert await stream.next_ids(1) == [row_id]
            notifying = "select pid from pg_stat_activity where query like '%%pg_notify(%%' and pid <> pg_backend_pid()"
            ended = owner.execute(f"select pg_terminate_backend(pid, 30000) from ({notifying}) as pids".encode())
            assert ended.fetchall() == [(True,)]


async def test_notification_says_nothing_but_the_head(owner: Owner, notes: None, database_url: str) -> None:
    async with (
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as spy,
        await database.connect(conf.relay_database) as connection,
    ):
        group = await queries.group(connection)
        await notifications.listen(spy, group)
        async with relaying(None):
            head = await queries.head(connection)
            owner.execute("insert into notes values (31337)")
            async with asyncio.timeout(30):
                async for notify in spy.notifies():
                    assert "31337" not in notify.payload
                    if (announcement := from_payload(notify.payload, group)).head == head + 1:
                        assert announcement.changes == ()
                        break


FORGED = (
    "",
    "[",
    "[" * 7000,
    "null",
    "[1]",
    "{}",
    '{"type":"ayb_realtime.batch","batch":"[9999999999,[]]","seal":"0"}',
)


async def test_forged_notifications_are_dropped_and_stop_nothing(
    owner: Owner, notes: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with hub_with(None) as hub, relaying(None):
        await until_listening(owner, group_of(hub))
        stream = await open_stream(hub, person(1), "notes")
        for row_id, payload in enumerate(FORGED):
            owner.execute("select pg_notify(%s, %s)", [group_of(hub), payload])
            owner.execute("insert into notes values (%s)", [row_id])
            assert await stream.next_ids(1) == [row_id]
    assert any("a notification is dropped" in line for line in caplog.messages)


class RaisingLayer(InMemoryChannelLayer):
    """A layer that does not work."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        raise OSError("no Redis")

    async def group_add(self, group: str, channel: str) -> None:
        raise OSError("no Redis")


async def test_hub_hears_the_relay_of_its_process_although_the_layer_raises(owner: Owner, notes: None) -> None:
    layer = RaisingLayer()
    async with hub_with(layer) as hub, running_relay(layer):
        stream = await open_stream(hub, person(1), "notes")
        for row_id in range(3):
            owner.execute("insert into notes values (%s)", [row_id])
            assert await stream.next_ids(1) == [row_id]
        owner.execute("insert into notes select generate_series(3, 5000)")
        assert await stream.next_ids(4998) == list(range(3, 5001))


@pytest.mark.parametrize("layer", [None, InMemoryChannelLayer()], ids=["listen", "memory"])
async def test_what_a_hub_hears_in_two_ways_it_delivers_once(
    owner: Owner, notes: None, layer: BaseChannelLayer | None
) -> None:
    async with hub_with(layer) as hub, hub_with(layer) as other, running_relay(layer):
        streams = [await open_stream(each, person(1), "notes") for each in (hub, other)]
        for row_id in range(100):
            owner.execute("insert into notes values (%s)", [row_id])
        assert [await stream.next_ids(100) for stream in streams] == [list(range(100))] * 2


async def test_announcement_of_another_log_is_not_heard(owner: Owner, notes: None) -> None:
    async with hub_with(None) as hub, running_relay(None):
        stream = await open_stream(hub, person(1), "notes")
        (relation,) = owner.execute("select 'notes'::regclass::oid").fetchone() or (0,)
        foreign = Change(hub.position + 1, relation, Action.CREATE, '{"id":31337}')
        local_hubs.tell(f"{group_of(hub)}1", Announcement(foreign.position, (foreign,)))
        owner.execute("insert into notes values (1)")
        assert await stream.next_ids(1) == [1]


async def test_closed_hub_hears_no_more(notes: None) -> None:
    before = dict(local_hubs._loops)
    async with hub_with(None):
        assert len(local_hubs._loops) == len(before) + 1
    assert local_hubs._loops == before


@pytest.fixture
def another_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)
    loop.close()


async def test_hub_in_another_event_loop_is_told_in_its_own(another_loop: asyncio.AbstractEventLoop) -> None:
    hubs, told = LocalHubs(), asyncio.get_running_loop().create_future()
    here = asyncio.get_running_loop()

    def accept(group: str, announcement: Announcement) -> None:
        heard = (threading.get_ident(), group, announcement)
        here.call_soon_threadsafe(told.set_result, heard)

    async def add() -> int:
        hubs.add(accept)
        return threading.get_ident()

    thread = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(add(), another_loop))
    hubs.tell("a group", Announcement(7))
    async with asyncio.timeout(30):
        assert await told == (thread, "a group", Announcement(7))


async def test_hub_whose_event_loop_is_closed_hinders_no_other() -> None:
    hubs, told = LocalHubs(), []

    async def add() -> None:
        hubs.add(lambda group, announcement: told.append("closed"))

    await asyncio.to_thread(asyncio.run, add())
    hubs.add(lambda group, announcement: told.append("open"))
    hubs.tell("a group", Announcement(7))
    assert told == ["open"]


def test_check_warns_only_if_listen_hears_nothing(
    database_url: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> list[str]:
        return [str(message.id) for message in check_listen(None, databases=["default"])]

    settings.AYB_REALTIME = {"CHANNEL_LAYER": None}
    assert found() == []

    async def deaf(connection: Any, notify_channel: str) -> None:
        """LISTEN as through a pooler in transaction mode: another session does."""

    monkeypatch.setattr(notifications, "listen", deaf)
    monkeypatch.setattr(notifications, "ANSWER_SECONDS", 0.1)
    assert found() == ["ayb_realtime.W027"]
    settings.AYB_REALTIME = {}
    assert found() == []
