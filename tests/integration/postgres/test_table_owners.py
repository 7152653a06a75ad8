"""What code of a streamed table's owner can do in the sessions of a hub and a relay that have logins of their own."""

import asyncio
from typing import Any

import psycopg
import pytest
from channels.layers import BaseChannelLayer
from django.db import connections
from psycopg import sql

from ayb_realtime.visibility import shortlist
from tests.integration.postgres.conftest import HUB, RELAY, THREE, make_roles, streaming
from tests.integration.scenario import Owner, open_stream, person

# Postgres runs it when it plans a query of the table, and before it does anything else.
SPIES = """
create function spies() returns boolean immutable language plpgsql as $code$
begin
    if session_user in ({hub}, {relay}) and has_table_privilege('public.users', 'select') then
        perform pg_advisory_lock(4711);
    end if;
    return true;
end $code$;
create index on notes (id) where spies();
create table parts (id int primary key) partition by list (id);
select ayb_realtime.enable_v1('parts');
create table part (id int primary key);
insert into part values (1);
create index on part (id) where spies()
"""
SPIED = "select count(*) from pg_locks where locktype = 'advisory' and objid = 4711"


def with_logins(statement: str) -> bytes:
    """Fill in the names of the hub's login and the relay's, as literals."""
    return sql.SQL(statement).format(hub=sql.Literal(HUB), relay=sql.Literal(RELAY)).as_bytes()


async def test_predicate_of_an_index_never_runs_with_the_rights_of_our_schemas_owner(
    site: Owner, memory_layer: BaseChannelLayer
) -> None:
    make_roles(site)
    site.execute(with_logins(SPIES))
    async with streaming(memory_layer) as hub:
        people = [await open_stream(hub, person(number), "notes") for number in range(shortlist.FEW + 1)]
        for number in (1, 2):
            site.execute("insert into notes values (%s, '1')", [number])
            assert await people[1].next_ids(1) == [number]
        stream = await open_stream(hub, person(1), "parts")
        site.execute("alter table parts attach partition part for values in (1)")
        assert (await stream.next()).event == "reset"
        assert site.execute(SPIED).fetchone() == (0,)


LINGERS = """
create function lingers(int) returns boolean language plpgsql as $code$
begin
    if session_user = {hub} then
        perform set_config('role', 'ayb_authenticated', false);
    end if;
    return true;
end $code$;
create domain lingering as int check (lingers(value));
create table keyed (id lingering primary key);
select ayb_realtime.enable_v1('keyed')
"""


async def test_role_that_a_domain_sets_for_the_session_ends_with_the_check(
    site: Owner, memory_layer: BaseChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    make_roles(site)
    site.execute(with_logins(LINGERS))
    async with streaming(memory_layer) as hub:
        keyed, notes = [await open_stream(hub, person(1), table) for table in ("keyed", "notes")]
        for number in (1, 2, 3):
            site.execute("insert into keyed values (%s)", [number])
            assert await keyed.next_ids(1) == [number]
            site.execute("insert into notes values (%s, '1')", [number])
            assert await notes.next_ids(1) == [number]
    assert "permission denied" not in caplog.text


# It goes on after its timeout.
HANGS = """
create function hangs(body text) returns boolean language plpgsql as $code$
begin
    if body = 'hangs' then
        loop
            begin
                perform pg_sleep(60);
            exception when query_canceled then
            end;
        end loop;
    end if;
    return true;
end $code$;
create policy hangs on notes as restrictive using (hangs(body))
"""
MESSAGES = (
    "select objid::bigint from pg_locks where locktype = 'advisory' and classid = hashtext('ayb_realtime.message')::oid"
)


def hold_the_lock_of_a_message(dbname: str) -> psycopg.Connection[Any]:
    """Hold, as another login, the lock by which the watchdog finds the next message. Returns the connection."""
    parameters = {**connections["default"].get_connection_params(), "dbname": dbname, "user": RELAY}
    kept = {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if name in parameters}
    neighbour = psycopg.connect(**kept, autocommit=True)
    while (found := neighbour.execute(MESSAGES.encode()).fetchone()) is None:
        pass
    neighbour.execute("select pg_advisory_lock_shared(hashtext('ayb_realtime.message'), %s::int)", found)
    return neighbour


async def test_another_login_that_holds_a_messages_lock_does_not_keep_it_from_being_ended(
    site: Owner, memory_layer: BaseChannelLayer, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.AYB_REALTIME = {**THREE, "CHECK_TIMEOUT_SECONDS": 1}
    make_roles(site)
    site.execute(HANGS.encode())
    async with streaming(memory_layer) as hub:
        stream = await open_stream(hub, person(1), "notes")
        site.execute("insert into notes values (1, '1')")
        assert await stream.next_ids(1) == [1]
        holding = asyncio.create_task(asyncio.to_thread(hold_the_lock_of_a_message, site.info.dbname))
        site.execute("insert into notes values (2, '1', 'hangs')")
        assert (await stream.next()).event == "reset"
        (await holding).close()
    assert "watchdog_fails" not in [getattr(record, "event_name", "") for record in caplog.records]
