"""Rows that come and go without a row trigger: streams are told to fetch again, and never of a delete that is none."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from channels.layers import BaseChannelLayer, InMemoryChannelLayer

from ayb_realtime.hub.hub import Hub
from ayb_realtime.log import queries
from ayb_realtime.relay import relay as relay_module
from embedded import postgres
from tests.integration.conftest import number
from tests.integration.scenario import MakeTable, Owner, Stream, open_stream, person, relaying
from tests.integration.test_lives import folder, install, server, serving

__all__ = ["folder"]  # a fixture


RESET = ("reset", {"reason": "table altered", "tables": ["visits"]})
PARTITIONED = "partition by list (id)"
FILLED = "create table visits_3 (id int primary key, body text); insert into visits_3 values (3, 'filled');"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that a test would only sit through."""
    monkeypatch.setattr(relay_module, "ALTERED_SECONDS", 0.05)
    monkeypatch.setattr(relay_module, "HEARTBEAT_SECONDS", 0.05)


@pytest.fixture
def visits(owner: Owner, make_table: MakeTable) -> None:
    """A partitioned table with rows in two partitions, a default one, and one that has partitions."""
    make_table("visits", "id int primary key, body text", suffix=PARTITIONED)
    owner.execute(
        "create table visits_1 partition of visits for values in (1);"
        "create table visits_2 partition of visits for values in (2, 22) partition by list (id);"
        "create table visits_22 partition of visits_2 for values in (22);"
        "create table visits_rest partition of visits default;"
        "insert into visits values (1, 'one'), (22, 'two'), (5, 'rest'), (6, 'rest')"
    )
    settle(owner)


@pytest.fixture
def notes(owner: Owner, make_table: MakeTable) -> None:
    """A plain table with two rows."""
    make_table("visits", "id int primary key, body text, secret text")
    owner.execute("insert into visits values (1, 'one'), (2, 'two')")
    settle(owner)


def settle(owner: Owner) -> None:
    """Let everything so far be known, and numbered."""
    owner.execute("select ayb_realtime.announce_altered_v1()")
    number(owner)


def script(owner: Owner, statements: str) -> None:
    """Run statements one by one, each in a transaction of its own: some may not run in one."""
    for statement in statements.split(";"):
        owner.execute(statement.encode())


async def told(the_hub: Hub, layer: BaseChannelLayer, alter: Callable[[], object]) -> None:
    """Alter the table ``visits``; see that a live stream and one that was away are told, and of nothing else before."""
    async with relaying(layer):
        begin = await caught_up(the_hub)
        live = await open_stream(the_hub, person(1), "visits")
        await asyncio.to_thread(alter)
        await is_reset(live)
        await is_reset(await open_stream(the_hub, person(1), "visits", after=begin))


async def caught_up(the_hub: Hub) -> int:
    """Wait until the hub is where the log is now, and return that position."""
    async with the_hub._pool.connection() as connection:
        head = await queries.head(connection)
    while the_hub.position < head:
        await asyncio.to_thread(lambda: None)
    return head


async def is_reset(stream: Stream) -> None:
    event = await stream.next()
    assert (event.event, event.json()) == RESET


ROWS_COME_AND_GO = {
    "attach": FILLED + "alter table visits attach partition visits_3 for values in (3)",
    "attach to a partition": "create table visits_3 (id int primary key, body text);"
    "insert into visits_3 values (2, 'filled');"
    "alter table visits_2 attach partition visits_3 for values in (2)",
    "attach what is partitioned": "create table visits_3 (id int primary key, body text) partition by list (id);"
    "create table visits_33 partition of visits_3 for values in (33); insert into visits_33 values (33, 'filled');"
    "alter table visits attach partition visits_3 for values in (33)",
    "detach": "alter table visits detach partition visits_1",
    "detach, and attach": "begin; alter table visits detach partition visits_1;"
    "update visits_1 set body = 'other'; alter table visits attach partition visits_1 for values in (1);"
    "commit",
    "detach a partition's": "alter table visits_2 detach partition visits_22",
    "drop": "drop table visits_1",
    "drop a partition's": "drop table visits_22",
    "truncate": "truncate visits_1",
    "truncate a partition's": "truncate visits_22",
    "truncate, and fill": "begin; truncate visits_1; insert into visits_1 select 1, 'x' where false;"
    "analyze visits_1; commit",
    "triggers off and on": "begin; alter table visits_1 disable trigger all; update visits_1 set body = 'x';"
    "alter table visits_1 enable trigger all; commit",
    "triggers of all off and on": "begin; alter table visits disable trigger user; delete from visits where id = 1;"
    "alter table visits enable trigger user; commit",
    "a column": "alter table visits add column at timestamptz default clock_timestamp()",
}


@pytest.mark.parametrize("case", ROWS_COME_AND_GO)
async def test_rows_that_come_and_go_with_partitions_are_told_by_a_reset(
    visits: None, case: str, memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner
) -> None:
    try:
        await told(the_hub, memory_layer, lambda: script(owner, ROWS_COME_AND_GO[case]))
    finally:
        owner.execute("drop table if exists visits_1, visits_22, visits_3")


async def test_partition_that_is_detached_concurrently_is_told_once(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable, database_url: str
) -> None:
    make_table("visits", "id int primary key, body text", suffix=PARTITIONED)
    owner.execute("create table visits_1 partition of visits for values in (1)")
    owner.execute("create table visits_2 partition of visits for values in (2)")
    owner.execute("insert into visits values (1, 'one')")
    settle(owner)
    try:
        async with relaying(memory_layer):
            begin = await caught_up(the_hub)
            live = await open_stream(the_hub, person(1), "visits")
            with psycopg.connect(database_url) as reader, psycopg.connect(database_url, autocommit=True) as other:
                # Who reads the table lets the first half be done, and the second wait: it is then cancelled.
                reader.execute("select * from visits")
                other.execute("set lock_timeout = '200ms'")
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    await asyncio.to_thread(other.execute, "alter table visits detach partition visits_1 concurrently")
                await is_reset(live)
            await asyncio.to_thread(owner.execute, "alter table visits detach partition visits_1 finalize")
            owner.execute("select ayb_realtime.announce_altered_v1()")
            owner.execute("insert into visits values (2, 'two')")
            assert (await live.next_change())["record"]["id"] == 2
            away = await open_stream(the_hub, person(1), "visits", after=begin)
            await is_reset(away)
            assert (await away.next_change())["record"]["id"] == 2
    finally:
        owner.execute("drop table visits_1")


CHANGED = {
    "type": "alter table visits alter column body type varchar(2) using 'x'",
    "values": "alter table visits alter column body type text using body || '!'",
    "new column": "alter table visits add column added int",
    "default": "alter table visits add column added int default 5",
    "volatile default": "alter table visits add column added uuid default gen_random_uuid()",
    "generated": "alter table visits add column added int generated always as (id + 1) stored",
    "column gone": "alter table visits drop column secret",
    "column renamed": "alter table visits rename column body to text",
    "trigger off and on": """begin; alter table visits disable trigger "!ayb_realtime"; delete from visits;"""
    """alter table visits enable always trigger "!ayb_realtime"; commit""",
    "triggers off and on": "begin; alter table visits disable trigger all; truncate visits;"
    "alter table visits enable trigger all; commit",
    "truncate trigger": """begin; alter table visits disable trigger "!ayb_realtime_truncate"; truncate visits;"""
    """alter table visits enable always trigger "!ayb_realtime_truncate"; commit""",
    "trigger made by hand": """begin; drop trigger "!ayb_realtime" on visits; delete from visits;"""
    """create trigger "!ayb_realtime" after insert or update or delete on visits"""
    """ for each row execute function ayb_realtime.capture_v1('notify', 'id'); commit""",
    "a child": "create table child (like visits including all); insert into child values (3);"
    "alter table child inherit visits",
    "to unlogged": "alter table visits set unlogged",
}


@pytest.mark.parametrize("case", CHANGED)
async def test_table_whose_rows_are_others_is_told_by_a_reset(
    notes: None, case: str, memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner
) -> None:
    try:
        await told(the_hub, memory_layer, lambda: script(owner, CHANGED[case]))
    finally:
        owner.execute("drop table if exists child")


@pytest.mark.parametrize(
    ("make", "rename"),
    [
        ("create type mood as enum ('sad', 'glad')", "alter type mood rename value 'sad' to 'blue'"),
        ("create type mood as (word text)", "alter type mood rename attribute word to name"),
        ("create type feeling as enum ('sad'); create domain mood as feeling",
         "alter type feeling rename value 'sad' to 'blue'"),
        ("create type feeling as enum ('sad', 'glad'); create type mood as range (subtype = feeling)",
         "alter type feeling rename value 'sad' to 'blue'"),
        ("create type feeling as (word text); create type mood as (feeling feeling)",
         "alter type feeling add attribute depth int"),
    ],
)  # fmt: skip
async def test_type_that_reads_otherwise_is_told_by_a_reset(
    make: str, rename: str, memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    owner.execute(make.encode())
    try:
        make_table("visits", "id int primary key, moods mood[]")
        settle(owner)
        await told(the_hub, memory_layer, lambda: script(owner, rename))
    finally:
        owner.execute("drop table visits")
        owner.execute("drop domain if exists mood") if "domain" in make else owner.execute("drop type mood")
        owner.execute("drop type if exists feeling")


@pytest.mark.parametrize(
    "rename", ["alter schema places rename to spots", "alter table places.visits set schema public"]
)
async def test_table_in_another_schema_is_told_by_a_reset(
    rename: str, memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    owner.execute("create schema places")
    try:
        make_table("places.visits", "id int primary key")
        settle(owner)
        async with relaying(memory_layer):
            live = await open_stream(the_hub, person(1), "visits")
            await asyncio.to_thread(owner.execute, rename.encode())
            await is_reset(live)
    finally:
        owner.execute("drop schema if exists places cascade; drop schema if exists spots cascade;")
        owner.execute("drop table if exists visits")


async def test_stream_follows_the_name_of_a_table_that_was_swapped(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("visits", "id int primary key")
    make_table("visits_new", "id int primary key")
    settle(owner)
    async with relaying(memory_layer):
        begin = await caught_up(the_hub)
        live = await open_stream(the_hub, person(1), "visits")
        # Both are known to the hub.
        owner.execute("insert into visits values (1)")
        owner.execute("insert into visits_new values (2)")
        assert (await live.next_change())["record"]["id"] == 1
        with owner.transaction():
            owner.execute("alter table visits rename to visits_old")
            owner.execute("alter table visits_new rename to visits")
            owner.execute("alter table visits_old rename to visits_new")
        event = await live.next()
        assert (event.event, event.json()) == ("reset", {"reason": "table made anew", "tables": ["visits"]})
        await is_reset(live)
        owner.execute("insert into visits values (3)")
        assert (await live.next_change())["record"]["id"] == 3
        away = await open_stream(the_hub, person(1), "visits", after=begin)
        assert (await away.next_change())["record"]["id"] == 2
        await is_reset(away)
        assert (await away.next_change())["record"]["id"] == 3


@pytest.mark.parametrize("heard", [True, False])
async def test_stream_follows_the_name_of_a_table_that_was_dropped_to_one_that_had_no_streams(
    heard: bool, memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("visits", "id int primary key")
    make_table("visits_new", "id int primary key")
    settle(owner)
    # Without the layer, the hub reads from the log only what streams are of.
    async with relaying(memory_layer if heard else InMemoryChannelLayer()):
        await caught_up(the_hub)
        live = await open_stream(the_hub, person(1), "visits")
        owner.execute("insert into visits values (1)")
        assert (await live.next_change())["record"]["id"] == 1
        await asyncio.to_thread(
            owner.execute,
            "insert into visits_new values (2); drop table visits; alter table visits_new rename to visits",
        )
        event = await live.next()
        assert (event.event, event.json()) == ("reset", {"reason": "table made anew", "tables": ["visits"]})
        owner.execute("insert into visits values (3)")
        while (event := await live.next()).event == "reset" or event.json()["record"]["id"] == 2:
            pass
        assert event.json()["record"]["id"] == 3


MOVES = {
    "attach": "create table visits_5 (id int primary key, body text);"
    "insert into visits_5 select * from visits where id = 5; delete from visits where id = 5;"
    "alter table visits attach partition visits_5 for values in (5)",
    "several": "create table visits_5 (id int primary key, body text);"
    "with moved as (delete from visits_rest returning *) insert into visits_5 select * from moved;"
    "alter table visits attach partition visits_5 for values in (5, 6)",
    "updated before": "create table visits_5 (id int primary key, body text);"
    "update visits set body = 'x' where id = 5;"
    "with moved as (delete from visits where id = 5 returning *) insert into visits_5 select * from moved;"
    "alter table visits attach partition visits_5 for values in (5)",
    "triggers off": "delete from visits where id = 5; alter table visits disable trigger all;"
    "insert into visits values (5, 'rest'); alter table visits enable trigger all",
    "to a partition of a partition": "create table visits_5 (id int primary key, body text);"
    "with moved as (delete from visits_22 returning *) insert into visits_5 select * from moved;"
    "drop table visits_22; alter table visits_2 attach partition visits_5 for values in (22)",
}


@pytest.mark.parametrize("case", MOVES)
async def test_row_that_is_moved_and_there_is_not_told_as_deleted(
    visits: None, case: str, memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever the relay's regular look does: it comes too late.
    monkeypatch.setattr(relay_module, "ALTERED_SECONDS", 3600.0)

    def move() -> None:
        with owner.transaction():
            script(owner, MOVES[case])

    await told(the_hub, memory_layer, move)


async def test_deletes_are_not_told_of_a_table_that_has_rows_without_our_trigger(
    visits: None, memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner
) -> None:
    owner.execute("alter table visits_1 disable trigger all")
    settle(owner)
    owner.execute("create table visits_7 partition of visits for values in (7)")
    owner.execute("insert into visits values (7, 'seven')")
    settle(owner)
    # The row goes to where no trigger tells of it.
    owner.execute("delete from visits where id = 1")
    await told(the_hub, memory_layer, lambda: script(owner, "update visits set id = 1 where id = 7"))


async def test_delete_before_a_move_is_told(
    visits: None, memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner
) -> None:
    async with relaying(memory_layer):
        live = await open_stream(the_hub, person(1), "visits")
        owner.execute("delete from visits where id = 1")
        assert await live.next_change() == {"action": "delete", "table": "visits", "record": {"id": 1}}
        script(owner, FILLED + "alter table visits attach partition visits_3 for values in (3)")
        await is_reset(live)
        owner.execute("delete from visits where id = 3")
        assert await live.next_change() == {"action": "delete", "table": "visits", "record": {"id": 3}}


async def test_what_happened_while_no_relay_ran_is_told_when_one_starts(
    visits: None, memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner
) -> None:
    live = await open_stream(the_hub, person(1), "visits")
    script(owner, FILLED + "alter table visits attach partition visits_3 for values in (3)")
    async with relaying(memory_layer):
        await is_reset(live)


async def test_two_leaders_tell_it_once(
    visits: None, memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, database_url: str
) -> None:
    before = altered(owner)
    script(owner, FILLED + "alter table visits attach partition visits_3 for values in (3)")
    with psycopg.connect(database_url) as first, psycopg.connect(database_url, autocommit=True) as second:
        first.execute("select ayb_realtime.announce_altered_v1()")
        looking = asyncio.to_thread(second.execute, "select ayb_realtime.announce_altered_v1()")
        waiting = asyncio.create_task(looking)
        await asyncio.to_thread(until_waits, owner, second.info.backend_pid)
        first.commit()
        await waiting
    assert altered(owner) == before + 1


def until_waits(owner: Owner, pid: int) -> None:
    """Wait until a backend waits for a lock."""
    while owner.execute("select cardinality(pg_blocking_pids(%s))", [pid]).fetchone() == (0,):
        pass


def altered(owner: Owner) -> int:
    """Return how often the log tells that ``visits`` was altered."""
    row = owner.execute(
        "select count(*) from ayb_realtime.change where action = 'alter' and relation = 'visits'::regclass"
    ).fetchone()
    assert row is not None
    return int(row[0])


NOTHING_NEW = [
    "analyze visits",
    "vacuum visits",
    "vacuum (full) visits",
    "vacuum (freeze) visits",
    "create index on visits (body); cluster visits using visits_pkey; reindex table visits",
    "grant select on visits to ayb_anonymous; grant select (id) on visits to ayb_anonymous",
    "create policy p on visits using (true); alter table visits enable row level security; drop policy p on visits",
    "alter table visits alter column body set statistics 100",
    "alter table visits alter column body set default 'x'",
    "alter table visits alter column body set not null",
    "alter table visits alter column body type text",
    "alter table visits set (fillfactor = 50)",
    "alter table visits add constraint c check (id > 0); comment on table visits is 'x'",
    "create table other (id int references visits); drop table other",
    "insert into visits values (9); update visits set body = 'x'; delete from visits where id = 9",
    "vacuum (full) pg_trigger; vacuum (freeze) pg_attribute; vacuum (full) pg_attribute",
    "begin; truncate visits; rollback",
    "begin; alter table visits add column x int; alter table visits disable trigger user; rollback",
]


@pytest.mark.parametrize("statements", NOTHING_NEW)
def test_what_leaves_the_rows_as_they_are_is_not_told(owner: Owner, notes: None, statements: str) -> None:
    before = altered(owner)
    script(owner, statements)
    owner.execute("select ayb_realtime.announce_altered_v1()")
    assert altered(owner) == before


@pytest.mark.parametrize("persistence", ["", "unlogged"])
def test_table_that_was_enabled_a_moment_ago_is_not_told_as_altered(
    owner: Owner, make_table: MakeTable, persistence: str
) -> None:
    make_table("visits", "id int primary key", enable=False)
    if persistence:
        owner.execute("alter table visits set unlogged")
    owner.execute("select ayb_realtime.enable_v1('visits')")
    owner.execute("select ayb_realtime.announce_altered_v1()")
    assert altered(owner) == 0


EMPTY = {
    "made": "create table visits_3 partition of visits for values in (3); insert into visits values (1, 'x')",
    "attached": "create table visits_3 (id int primary key, body text);"
    "alter table visits attach partition visits_3 for values in (3)",
    "made with partitions": "create table visits_3 partition of visits for values in (3) partition by list (id);"
    "create table visits_33 partition of visits_3 for values in (3)",
}


@pytest.mark.parametrize("case", EMPTY)
def test_partition_that_is_made_empty_is_not_told(owner: Owner, make_table: MakeTable, case: str) -> None:
    make_table("visits", "id int primary key, body text", suffix=PARTITIONED)
    owner.execute("create table visits_1 partition of visits for values in (1)")
    for statement in EMPTY[case].split(";"):
        owner.execute(statement.encode())
        owner.execute("select ayb_realtime.announce_altered_v1()")
    # And it stays so when there are rows in it.
    owner.execute("insert into visits values (3, 'three')")
    owner.execute("select ayb_realtime.announce_altered_v1()")
    assert altered(owner) == 0


def test_plan_does_not_change_what_is_known_of_a_table(owner: Owner, make_table: MakeTable) -> None:
    owner.execute("create domain older as int; create domain newer as int")
    make_table("visits", "id newer primary key, other older")
    shapes = set()
    for plan in ("nestloop", "hashjoin", "mergejoin"):
        owner.execute("discard plans; set enable_nestloop = off; set enable_hashjoin = off; set enable_mergejoin = off")
        owner.execute(f"set enable_{plan} = on".encode())
        shapes.add(owner.execute("select shape from ayb_realtime.content_v1(array['visits'::regclass])").fetchone())
    owner.execute("drop table visits; drop domain older, newer")
    assert len(shapes) == 1


def test_look_waits_for_no_lock_on_a_table(owner: Owner, visits: None, database_url: str) -> None:
    before = altered(owner)
    script(owner, "create table visits_3 (like visits including all)")
    script(owner, "alter table visits attach partition visits_3 for values in (3)")
    with psycopg.connect(database_url) as other:
        other.execute("lock table visits, visits_3 in access exclusive mode")
        # It cannot look whether that was empty, and so tells it.
        owner.execute("set statement_timeout = '10s'")
        owner.execute("select ayb_realtime.announce_altered_v1()")
    assert altered(owner) == before + 1


async def test_what_is_written_as_a_replica_is_a_change_as_any_other(
    folder: Path, memory_layer: BaseChannelLayer
) -> None:
    # On a server of its own, since only a superuser may write as one.
    with server(folder) as running:
        install(running.url())
        async with serving(memory_layer, running.url()) as hub:
            stream = await open_stream(hub, person(1), "notes")
            with psycopg.connect(running.url(), autocommit=True) as superuser:
                superuser.execute("set session_replication_role = replica")
                superuser.execute("insert into notes values (1)")
                assert (await stream.next_change())["record"] == {"id": 1}
                superuser.execute("delete from notes")
                assert await stream.next_change() == {"action": "delete", "table": "notes", "record": {"id": 1}}
                superuser.execute("truncate notes")
                assert (await stream.next()).json()["reason"] == "table truncated"


def crash(data: Path) -> None:
    """Stop a server at once, so that it has to recover."""
    pid = int((data / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGQUIT)


UNLOGGED = "create unlogged table visits (id int primary key); select ayb_realtime.enable_v1('visits');"
UNLOGGED_LATER = "create table visits (id int primary key); select ayb_realtime.enable_v1('visits');"
UNLOGGED_PARTITION = (
    "create table visits (id int primary key) partition by list (id); select ayb_realtime.enable_v1('visits');"
    "create unlogged table visits_1 partition of visits for values in (1)"
)


@pytest.mark.parametrize("tables", [UNLOGGED, UNLOGGED_LATER, UNLOGGED_PARTITION])
async def test_unlogged_table_that_a_crash_has_emptied_is_told_by_a_reset(
    folder: Path, memory_layer: BaseChannelLayer, tables: str
) -> None:
    async with AsyncExitStack() as stack:
        with server(folder) as running:
            url, port = running.url(), running.port
            install(url)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(tables.encode())
                if tables == UNLOGGED_LATER:
                    connection.execute("alter table visits set unlogged")
                connection.execute("insert into visits values (1)")
                connection.execute("select ayb_realtime.make_checker_v1('visits'::regclass, 'ayb_authenticated')")
            hub = await stack.enter_async_context(serving(memory_layer, url))
            begin = await caught_up(hub)
            both = await open_stream(hub, person(1), "visits", "notes")
            crash(folder / "data")
        with server(folder, port) as running, psycopg.connect(url) as connection:
            assert connection.execute("select count(*) from visits").fetchone() == (0,)
            connection.commit()
            await is_reset(both)
            await is_reset(await open_stream(hub, person(1), "visits", after=begin))
            # An orderly restart empties nothing, and is not told.
        with server(folder, port) as running, psycopg.connect(url, autocommit=True) as connection:
            connection.execute("insert into visits values (1)")
            assert (await both.next_change())["record"] == {"id": 1}
            await stack.aclose()


async def test_what_logical_replication_writes_is_a_change_as_any_other(
    folder: Path, memory_layer: BaseChannelLayer
) -> None:
    with postgres(folder, settings={"wal_level": "logical", "fsync": "off"}) as running:
        source, target = running.url(), running.url(database="copy")
        with psycopg.connect(source, autocommit=True) as from_, psycopg.connect(source, autocommit=True) as setup:
            from_.execute("create table notes (id int primary key); insert into notes values (1)")
            from_.execute("create publication notes for table notes")
            from_.execute("select pg_create_logical_replication_slot('notes', 'pgoutput')")
            setup.execute("create database copy")
            install(target)
            async with serving(memory_layer, target) as hub:
                stream = await open_stream(hub, person(1), "notes")
                with psycopg.connect(target, autocommit=True) as to:
                    to.execute(
                        f"create subscription notes connection '{source}' publication notes"
                        " with (create_slot = false, slot_name = 'notes')".encode()
                    )
                    try:
                        assert (await stream.next_change())["record"] == {"id": 1}
                        from_.execute("delete from notes")
                        delete = await stream.next_change()
                        assert (delete["action"], delete["record"]) == ("delete", {"id": 1})
                        from_.execute("truncate notes")
                        assert (await stream.next()).json()["reason"] == "table truncated"
                    finally:
                        to.execute("drop subscription notes")
