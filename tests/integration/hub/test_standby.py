"""A hub that reads a hot standby: it sends what the standby shows, once it does."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from channels.layers import BaseChannelLayer
from django.db import connections

from ayb_realtime.checks.hub_database import check_hub_database
from ayb_realtime.diagnostics.explain import Step, explain
from ayb_realtime.exceptions import PositionUnavailable, StandbyBehind, UncancellablePolicy
from ayb_realtime.hub import relay_watch
from ayb_realtime.hub.delivering import planning
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.registry import close_hub, get_hub
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.log.local_hubs import local_hubs
from ayb_realtime.postgres import database
from ayb_realtime.visibility.quarantine import LOST, quarantine
from embedded.postgres import Postgres
from tests.integration.own_server import install, server, standby_of
from tests.integration.scenario import Stream, open_stream, person, relaying, subscribed, until

Connection = psycopg.Connection[Any]

TABLES = """
create table members (name text);
create table orders (id int primary key, owner text);
create policy p on orders using (owner = current_setting('ayb.user_id') or
                                 exists (select from members where name = current_setting('ayb.user_id')));
alter table orders enable row level security;
grant select on members, orders to ayb_authenticated;
grant select on orders to ayb_anonymous;
select ayb_realtime.enable_v1('orders');
"""
FUNCTIONS = "select ayb_realtime.make_check_functions_v1('{ayb_authenticated}')"
HELD = """
create function held() returns bool language plpgsql as
    $$ begin perform pg_advisory_xact_lock_shared(7); return true; end $$;
create policy held on orders as restrictive using (held());
"""
CATCHES = """
create function catches(at tid) returns bool language plpgsql as
    $$ begin loop begin perform pg_sleep(60); exception when query_canceled then null; end; end loop; end $$;
create policy catches on orders as restrictive using (catches(ctid));
"""
WAITING = "select pid from pg_locks where locktype = 'advisory' and not granted"


@pytest.fixture(scope="module")
def primary_server() -> Iterator[Postgres]:
    """A server with a log, on PostgreSQL's version of TEST_POSTGRES if that is set."""
    binaries = os.environ.get("TEST_POSTGRES")
    with tempfile.TemporaryDirectory(prefix="ayb-primary-") as name:
        Path(name).chmod(0o755)
        with server(Path(name) / "data", binaries=Path(binaries) if binaries else None) as running:
            install(running.url())
            yield running


@pytest.fixture
def primary(primary_server: Postgres) -> Iterator[Connection]:
    """A connection to the primary, which has the tables ``members`` and ``orders``."""
    with psycopg.connect(primary_server.url(), autocommit=True) as connection:
        connection.execute(TABLES.encode())
        connection.execute(FUNCTIONS)
        yield connection
        connection.execute("drop table orders, members; drop function if exists held, catches")


@pytest.fixture
def standby(primary_server: Postgres, primary: Connection, folder: Path) -> Iterator[Connection]:
    """A connection to a hot standby of the primary."""
    with (
        standby_of(primary_server, folder / "standby") as running,
        psycopg.connect(running.url(), autocommit=True) as connection,
    ):
        yield connection


@pytest.fixture
def aliases(
    primary: Connection, standby: Connection, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, dict[str, Any]]]:
    """Django's settings of both databases, by alias: the hub reads ``standby``."""
    settings.AYB_REALTIME = {"DATABASE": "primary", "HUB_DATABASE": "standby", "CHECK_TIMEOUT_SECONDS": 60}
    made = {}
    for alias, connection in {"primary": primary, "standby": standby}.items():
        info = connection.info
        own = {"HOST": info.host, "PORT": str(info.port), "USER": info.user, "PASSWORD": info.password}
        made[alias] = {**connections.settings["default"], **own, "NAME": info.dbname, "OPTIONS": {}}
        monkeypatch.setitem(connections.settings, alias, made[alias])
    yield made
    forget(*made)


def forget(*aliases: str) -> None:
    """Let Django make the connections of these aliases again."""
    for alias in aliases:
        with suppress(AttributeError):
            del connections[alias]


@pytest.fixture
def heard_by(
    request: pytest.FixtureRequest, aliases: Any, memory_layer: BaseChannelLayer, settings: Any
) -> BaseChannelLayer | None:
    """The layer between the relay and the hub; with the parameter "listen" none."""
    if getattr(request, "param", "") != "listen":
        return memory_layer
    settings.AYB_REALTIME = {**settings.AYB_REALTIME, "CHANNEL_LAYER": None}
    return None


@pytest_asyncio.fixture
async def hub(heard_by: BaseChannelLayer | None) -> AsyncIterator[Hub]:
    """A hub on the standby."""
    yield await get_hub()
    await close_hub()


async def shown(primary: Connection, standby: Connection) -> None:
    """Wait until the standby shows what has committed on the primary."""
    ((written,),) = primary.execute("select pg_current_wal_insert_lsn()").fetchall()
    await until(standby, "select %s <= pg_last_wal_replay_lsn()", [written])


async def announced(hub: Hub, position: int) -> None:
    """Wait until the hub knows of a position, and has asked the standby for its head again since."""
    async with asyncio.timeout(30):
        while hub.feed._window.head < position:
            await asyncio.to_thread(lambda: None)
        for _ in range(2):
            read_at = hub.feed._head_read_at
            while hub.feed._head_read_at == read_at:
                await asyncio.to_thread(lambda: None)


async def head_of(primary: Connection, at_least: int = 0) -> int:
    """Wait until the log has a position, and return its head."""
    query = "select max(first_position + size) - 1 from ayb_realtime.batch"
    await until(primary, f"select ({query}) >= %s", [at_least])
    ((head,),) = primary.execute(query.encode()).fetchall()
    return int(head)


def order(primary: Connection, *ids: int, owner: str = "1") -> None:
    """Insert orders, each in its own transaction."""
    for row_id in ids:
        primary.execute("insert into orders values (%s, %s)", [row_id, owner])


@pytest.mark.parametrize("heard_by", ["layer", "listen"], indirect=True)
async def test_nothing_is_sent_before_the_standby_shows_it_and_then_all_of_it_once(
    hub: Hub,
    primary: Connection,
    standby: Connection,
    heard_by: BaseChannelLayer | None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_watch, "GRACE_SECONDS", 0.0)
    # As if the relay ran in another process.
    monkeypatch.setattr(local_hubs, "tell", lambda *_: None)
    async with relaying(heard_by):
        stream = await open_stream(hub, person(1), "orders")
        order(primary, 1)
        assert await stream.next_ids(1) == [1]
        await hub._relay_watch.look()
        assert relay_watch.NO_RELAY not in caplog.text
        begin = hub.position
        standby.execute("select pg_wal_replay_pause()")
        order(primary, *range(2, 12))
        primary.execute("delete from orders where id = 3")
        await announced(hub, await head_of(primary, begin + 11))
        assert hub.position == begin
        standby.execute("select pg_wal_replay_resume()")
        received = [await stream.next_action() for _ in range(10)]
        # When the standby showed the insert, it perhaps showed the delete, too.
        if received[1] == ("create", {"id": 3, "owner": "1"}):
            received.append(await stream.next_action())
            del received[1]
        created = [("create", {"id": row_id, "owner": "1"}) for row_id in (2, *range(4, 12))]
        assert received == [*created, ("delete", {"id": 3})]
        order(primary, 20)
        assert await stream.next_ids(1) == [20]
    # Waiting is no failure, after which the hub would pause for a second.
    assert "cannot be delivered" not in caplog.text


async def test_standby_decides_who_sees_a_row(
    hub: Hub, primary: Connection, standby: Connection, memory_layer: BaseChannelLayer
) -> None:
    async with relaying(memory_layer):
        stream = await open_stream(hub, person(2), "orders")
        primary.execute("insert into members values ('2')")
        order(primary, 1)
        assert await stream.next_ids(1) == [1]
        standby.execute("select pg_wal_replay_pause()")
        begin = hub.position
        order(primary, 2)
        await head_of(primary, begin + 1)
        primary.execute("delete from members")
        order(primary, 3)
        order(primary, 4, owner="2")
        await announced(hub, await head_of(primary, begin + 3))
        standby.execute("select pg_wal_replay_resume()")
        received = await stream.next_ids(1)
        if received == [2]:
            received = await stream.next_ids(1)
        assert received == [4]


async def test_late_standby_is_told_in_the_log(
    hub: Hub,
    primary: Connection,
    standby: Connection,
    memory_layer: BaseChannelLayer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("ayb_realtime.hub.hearing.feed.SILENCE_SECONDS", 0.01)
    async with relaying(memory_layer):
        standby.execute("select pg_wal_replay_pause()")
        order(primary, 1)
        async with asyncio.timeout(30):
            while "the standby that HUB_DATABASE names is late" not in caplog.text:
                await asyncio.to_thread(lambda: None)
        standby.execute("select pg_wal_replay_resume()")


async def test_stream_that_resumes_ahead_of_the_standby_waits_for_it(
    hub: Hub, primary: Connection, standby: Connection, memory_layer: BaseChannelLayer
) -> None:
    async with relaying(memory_layer):
        begin = await head_of(primary)
        standby.execute("select pg_wal_replay_pause()")
        order(primary, 1)
        # Another hub, with another standby, may have sent it.
        after = await head_of(primary, begin + 1)
        order(primary, 2)
        stream = await open_stream(hub, person(1), "orders", after=after)
        with pytest.raises(PositionUnavailable):
            await subscribed(hub, person(1), "orders", after=after + 1000)
        standby.execute("select pg_wal_replay_resume()")
        assert await stream.next_ids(1) == [2]


async def test_check_that_keeps_the_standby_from_replaying_is_repeated(
    hub: Hub,
    aliases: Any,
    primary: Connection,
    standby: Connection,
    memory_layer: BaseChannelLayer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    primary.execute(HELD.encode())
    primary.execute(FUNCTIONS)
    standby.execute("alter system set max_standby_streaming_delay = 0")
    standby.execute("select pg_reload_conf()")
    async with relaying(memory_layer):
        stream = await open_stream(hub, person(1), "orders")
        for row_id in (1, 2):
            await shown(primary, standby)
            standby.execute("select pg_advisory_lock(7)")
            order(primary, row_id)
            await until(standby, f"select exists ({WAITING})")
            ((checker,),) = standby.execute(WAITING.encode()).fetchall()
            with primary.transaction():
                primary.execute("lock table orders in access exclusive mode")
            await until(standby, "select not exists (select from pg_stat_activity where pid = %s)", [checker])
            standby.execute("select pg_advisory_unlock(7)")
            assert await stream.next_action() == ("create", {"id": row_id, "owner": "1"})
    assert "conflict with recovery" in caplog.text
    ((relation,),) = primary.execute("select 'orders'::regclass::oid").fetchall()
    assert quarantine.partition(relation, [LOST]).trusted == [LOST]


async def test_function_that_is_missing_is_made_on_the_primary(
    hub: Hub, primary: Connection, memory_layer: BaseChannelLayer
) -> None:
    for (name,) in primary.execute(
        "select oid::regprocedure::text from pg_proc where proname like 'check\\_1\\_%'"
    ).fetchall():
        primary.execute(f"drop function {name}".encode())
    async with relaying(memory_layer):
        stream = await open_stream(hub, person(1), "orders")
        order(primary, 1)
        if (event := await stream.next()).event == "reset":
            order(primary, 2)
            event = await stream.next()
        assert event.event == "message"


async def test_deleted_row_is_told_to_those_who_saw_it(
    hub: Hub, primary: Connection, memory_layer: BaseChannelLayer, settings: Any
) -> None:
    settings.AYB_REALTIME = {**settings.AYB_REALTIME, "DELETE_VISIBILITY": "policy"}
    primary.execute("drop policy p on orders; create policy p on orders using (owner = current_setting('ayb.user_id'))")
    primary.execute(FUNCTIONS)
    async with relaying(memory_layer):
        mine, other = [await open_stream(hub, person(user), "orders") for user in (1, 2)]
        order(primary, 1)
        primary.execute("delete from orders")
        order(primary, 2, owner="2")
        received = [await mine.next_action()]
        if received == [("create", {"id": 1, "owner": "1"})]:
            received = [await mine.next_action()]
        assert received == [("delete", {"id": 1})]
        assert await other.next_ids(1) == [2]


async def test_promoted_standby_keeps_its_streams(
    hub: Hub, aliases: Any, primary: Connection, standby: Connection, memory_layer: BaseChannelLayer
) -> None:
    async with relaying(memory_layer):
        stream = await open_stream(hub, person(1), "orders")
        order(primary, 1)
        assert await stream.next_ids(1) == [1]
        await shown(primary, standby)
    standby.execute("select pg_promote()")
    aliases["primary"].update(aliases["standby"])
    forget("primary")
    async with relaying(memory_layer):
        reset = await stream.next()
        assert (reset.event, reset.json()["tables"]) == ("reset", ["orders"])
        order(standby, 2)
        assert await stream.next_ids(1) == [2]
        order(primary, 3)
        order(standby, 4)
        assert await stream.next_ids(1) == [4]


async def test_snapshot_without_the_change_is_no_answer(hub: Hub, primary: Connection) -> None:
    ((relation,),) = primary.execute("select 'orders'::regclass::oid").fetchall()
    change = Change(await head_of(primary) + 1, relation, Action.CREATE, '{"id": 1, "owner": "1"}')
    with pytest.raises(StandbyBehind):
        await planning.plan_delivery(hub._pool, [change], {relation: [person(1)]})


def test_other_database_than_a_standby_is_refused(aliases: Any, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        assert check_hub_database(None, databases=["primary"]) == []
        connections["standby"].close()
        aliases["standby"]["NAME"] = "template1"
        forget("standby")
        (message,) = check_hub_database(None, databases=["primary"])
        assert (message.id, message.is_serious()) == ("ayb_realtime.E028", True)
        connections["standby"].close()
        connections["primary"].close()


async def test_stream_goes_on_with_newer_credentials_that_another_process_is_sent(
    hub: Hub, memory_layer: BaseChannelLayer
) -> None:
    other_hub = Hub(memory_layer, database.pool("primary"))
    await other_hub.start()
    subscriber = await subscribed(hub, person(1), "orders")
    assert await other_hub.refreshing.ask(subscriber.client_id, person(1), (), None) is True
    await other_hub.close()


async def test_stream_that_asks_for_a_snapshot_gets_it_and_what_the_standby_shows_later(
    hub: Hub, primary: Connection, standby: Connection, memory_layer: BaseChannelLayer
) -> None:
    async with relaying(memory_layer):
        standby.execute("select pg_wal_replay_pause()")
        order(primary, 1, 2)
        stream = Stream(await hub.subscribe(person(1), ["orders"], snapshot=True))
        events = [await stream.next() for _ in range(3)]
        assert [event.event for event in events] == ["connected", "snapshot", "ready"]
        assert [row["id"] for row in events[1].json()["records"]] == [1, 2]
        order(primary, 3)
        standby.execute("select pg_wal_replay_resume()")
        assert await stream.next_ids(1) == [3]


async def test_policy_that_catches_its_cancellation_is_ended_where_it_runs(
    primary: Connection, aliases: Any, settings: Any
) -> None:
    settings.AYB_REALTIME = {**settings.AYB_REALTIME, "CHECK_TIMEOUT_SECONDS": 0.5}
    order(primary, 1)

    async def last_step() -> Step:
        async with asyncio.timeout(30):
            return [step async for step in explain(person(1), "orders", ["1"])][-1]

    assert (await last_step()).found.endswith('{"action":"update","table":"orders","record":{"id":1,"owner":"1"}}')
    primary.execute(CATCHES.encode())
    primary.execute(FUNCTIONS)
    with pytest.raises(UncancellablePolicy):
        await last_step()
