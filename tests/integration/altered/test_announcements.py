"""When the log says that a table was altered: once, and only if its rows differ."""

import asyncio

import psycopg
import pytest

from tests.integration.altered.conftest import FILLED, PARTITIONED, altered, is_reset, script
from tests.integration.scenario import MakeTable, Owner, World, person, until_blocked


async def test_what_happened_while_no_relay_ran_is_told_when_one_starts(visits: None, world: World) -> None:
    live = await world.stream(person(1), "visits")
    script(world.owner, FILLED + "alter table visits attach partition visits_3 for values in (3)")
    async with world.relaying():
        await is_reset(live)


async def test_two_leaders_tell_it_once(visits: None, world: World, database_url: str) -> None:
    before = altered(world.owner)
    script(world.owner, FILLED + "alter table visits attach partition visits_3 for values in (3)")
    with psycopg.connect(database_url) as first, psycopg.connect(database_url, autocommit=True) as second:
        first.execute("select ayb_realtime.announce_altered_v1()")
        looking = asyncio.to_thread(second.execute, "select ayb_realtime.announce_altered_v1()")
        waiting = asyncio.create_task(looking)
        await until_blocked(world.owner, second.info.backend_pid)
        first.commit()
        await waiting
    assert altered(world.owner) == before + 1


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
    # That does not change when it has rows.
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
        # It cannot see whether the partition was empty, so it announces it.
        owner.execute("set statement_timeout = '10s'")
        owner.execute("select ayb_realtime.announce_altered_v1()")
    assert altered(owner) == before + 1
