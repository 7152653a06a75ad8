"""Nothing depends on what a role, a database or a session has set."""

import os
import signal
from pathlib import Path

import psycopg
import pytest
from channels.layers import BaseChannelLayer

from ayb_realtime.conf import conf
from ayb_realtime.log import queries
from ayb_realtime.postgres import database, sessions
from ayb_realtime.relay import leadership
from ayb_realtime.visibility import transactions
from embedded import postgres
from tests.example import Example
from tests.integration.postgres.conftest import COLUMNS, ODD, SetDefault, knows, settings_of
from tests.integration.relay.conftest import Connector
from tests.integration.scenario import OWN, Owner, World, person, relaying, until_blocked


async def test_each_connection_of_a_relay_has_what_we_rely_on(
    owner: Owner, memory_layer: BaseChannelLayer, set_default: SetDefault
) -> None:
    for name, value in ODD.items():
        set_default(name, value)
    connect = Connector()
    async with relaying(memory_layer, connect):
        for connection in connect.opened:
            present = await settings_of(connection)
            relied_on = {**sessions.RELIED_ON, **sessions.OWN_TEXT}
            assert {name: value for name, value in present.items() if name in relied_on} == {
                name: value for name, value in relied_on.items() if knows(owner, name)
            }
            assert (present["enable_indexscan"], present["random_page_cost"]) == ("on", "4")
            assert present["from_collapse_limit"] == "8"


async def test_statement_of_a_web_process_runs_under_what_we_rely_on_and_leaves_nothing_behind(
    owner: Owner, set_default: SetDefault
) -> None:
    for name, value in ODD.items():
        set_default(name, value)
    async with await database.connect(conf.hub_database) as connection:
        before = await settings_of(connection)
        within = dict(await sessions.fetch(connection, "select name, setting from pg_settings"))
        after = await settings_of(connection)
    assert after == before
    relied_on = {**sessions.RELIED_ON, **sessions.OWN_TEXT}
    assert {name: within[name] for name in relied_on if name in within} == {
        name: value for name, value in relied_on.items() if name in within
    }
    assert (within["transaction_isolation"], within["transaction_read_only"]) == ("read committed", "on")


async def test_check_runs_under_what_we_rely_on_but_in_the_sites_search_path_and_leaves_nothing_behind(
    owner: Owner, set_default: SetDefault
) -> None:
    for name, value in ODD.items():
        set_default(name, value)
    async with database.pool() as pool, pool.connection() as connection:
        before = await settings_of(connection)
        async with transactions.snapshot(connection):
            within = await settings_of(connection)
        assert await settings_of(connection) == before
    assert within["search_path"] == before["search_path"]
    assert before["search_path"].startswith("public, pg_catalog")
    assert within["standard_conforming_strings"] == "off"  # as in the subscriber's own session
    assert (within["transaction_isolation"], within["row_security"]) == ("repeatable read", "on")
    assert (within["max_parallel_workers_per_gather"], within["enable_indexscan"]) == ("0", "on")
    assert (within["enable_seqscan"], within["random_page_cost"]) == ("off", "4")


async def test_users_transactions_do_not_fail_where_serializable_is_the_default(
    world: World, database_url: str, set_default: SetDefault
) -> None:
    world.table("notes", COLUMNS)
    world.table("replies", COLUMNS)
    set_default("default_transaction_isolation", "serializable")
    stream = await world.stream(person(1), "notes")
    with (
        psycopg.connect(database_url, options="") as reader,
        psycopg.connect(database_url, options="", autocommit=True) as writer,
    ):
        async with world.relaying():
            for n in range(5):
                # The only dependency between them: one has read what the other writes.
                reader.execute("select count(*) from notes")
                reader.execute("insert into replies values (%s, '1')", [n])
                writer.execute("insert into notes values (%s, '1')", [n])
                await stream.next()  # so that the log was read meanwhile
                reader.commit()


async def test_site_that_commits_without_waiting_for_the_disk_keeps_what_was_told_through_a_crash(
    tmp_path: Path,
) -> None:
    # Waiting for the numbering is enough: the writers' transactions are on disk before the numbers of their changes.
    options = {"fsync": "off", "synchronous_commit": "off", "wal_writer_delay": "10s", "wal_writer_flush_after": "1GB"}
    with postgres(tmp_path / "postgres", settings=options) as server:
        example = Example(server.url(), tmp_path)
        example.prepare()
        told = await _number_a_post(example, server.url())
        postmaster = (tmp_path / "postgres" / "data" / "postmaster.pid").read_text().split()[0]
        os.kill(int(postmaster), signal.SIGQUIT)
    with postgres(tmp_path / "postgres", settings=options) as server:
        async with await psycopg.AsyncConnection.connect(server.url(), autocommit=True) as connection:
            assert await queries.head(connection) == told


async def _number_a_post(example: Example, url: str) -> int:
    """Number a change as a relay does, and return its position."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await sessions.settle(connection)
        await queries.ensure_epoch(connection)
        await queries.next_batch(connection)
        example.add_post("told", published=True)
        batch = await queries.next_batch(connection)
        assert batch is not None
        return batch.head


async def test_batch_that_takes_longer_than_the_sites_timeouts_is_numbered(
    world: World, set_default: SetDefault
) -> None:
    world.table("notes", COLUMNS)
    stream = await world.stream(person(1), "notes")
    for name in ("statement_timeout", "lock_timeout", "transaction_timeout"):
        if knows(world.owner, name):
            set_default(name, "100ms")
    connect = Connector()
    async with relaying(world.layer, connect):
        with world.owner.transaction():
            world.write("lock table ayb_realtime.batch in exclusive mode")  # This blocks the numbering.
            await until_blocked(world.owner, connect.opened[0].info.backend_pid)
            world.write("select pg_sleep(0.3)")
        world.write("insert into notes values (1, '1')")
        assert (await stream.next_change())["record"]["id"] == 1
        assert len(connect.opened) == 3  # none was lost


# Functions with the exact argument types of our calls; Postgres' own need a conversion, or are found later.
TRAPS = """
create function public.pg_column_size(json) returns int language plpgsql as $$ begin raise 'trapped'; end $$;
create function public.format(text, bigint, oid) returns text language plpgsql as $$ begin raise 'trapped'; end $$;
create function public.setval(regclass, int) returns bigint language plpgsql as $$ begin raise 'trapped'; end $$;
create function public.trapped(bigint, bigint) returns boolean language plpgsql as $$ begin raise 'trapped'; end $$;
create operator public.= (function = public.trapped, leftarg = bigint, rightarg = bigint);
"""


DISARM = """
drop operator public.= (bigint, bigint);
drop function public.pg_column_size(json), public.format(text, bigint, oid), public.setval(regclass, int),
    public.trapped(bigint, bigint);
"""


@pytest.mark.parametrize("path", ['"$user", public', "public, pg_catalog"])
async def test_nothing_of_the_sites_own_runs_as_us(world: World, set_default: SetDefault, path: str) -> None:
    world.table("notes", COLUMNS, policy=OWN)
    stream = await world.stream(person(1), "notes")
    set_default("search_path", path)
    world.write(TRAPS)
    try:
        async with world.relaying(), database.pool() as pool, pool.connection() as connection:
            after = await queries.head(connection)
            world.write("insert into notes values (1, '1'); update notes set author = '1'")
            await stream.next()
            (change,) = await queries.read(connection, after=after, upto=after + 1)
            assert change.action == "create"
            await queries.group(connection)
            await leadership.status(connection)
    finally:
        world.write(DISARM)
