"""A relay and a hub that log in with roles of their own, which ``manage.py realtime_roles`` has made and granted."""

from io import StringIO
from typing import Any

import pytest
from channels.layers import BaseChannelLayer
from django.core.checks import Tags, run_checks
from django.core.management import CommandError, call_command
from psycopg import sql

from ayb_realtime.visibility import shortlist
from tests.integration.postgres.conftest import DEFINER, HUB, RELAY, THREE, make_roles, roles_sql, streaming
from tests.integration.scenario import OWN, Owner, open_stream, person

# What they may do with the tables and views of the database.
RIGHTS: dict[str, dict[str, str]] = {
    DEFINER: {
        "ayb_realtime.capture_trigger": "select",
        "ayb_realtime.change": "insert",
        "ayb_realtime.content": "insert",
        "ayb_realtime.crash_marker": "select",
        "ayb_realtime.layout": "delete insert select",
    },
    RELAY: {
        "ayb_realtime.batch": "delete insert select update",
        "ayb_realtime.capture_trigger": "select",
        "ayb_realtime.change": "delete insert select",
        **{f"ayb_realtime.change_{slot}": "select truncate" for slot in range(8)},
        "ayb_realtime.content": "delete insert select update",
        "ayb_realtime.crash_marker": "insert select",
        "ayb_realtime.epoch": "delete insert select update",
        "ayb_realtime.layout": "delete select",
        "ayb_realtime.leader": "insert select update",
        "ayb_realtime.newest_batch": "select",
        "ayb_realtime.slot_history": "insert select update",
    },
    HUB: {
        "ayb_realtime.batch": "select",
        "ayb_realtime.capture_trigger": "select",
        "ayb_realtime.change": "select",
        "ayb_realtime.disconnect": "select",
        "ayb_realtime.epoch": "select",
        "ayb_realtime.leader": "select",
        "ayb_realtime.open_streams": "delete insert select update",
        "ayb_realtime.refresh": "delete insert select update",
    },
}
HELD = """
select c.oid::regclass::text, string_agg(privilege, ' ' order by privilege)
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace and n.nspname <> 'information_schema'
 cross join unnest('{select,insert,update,delete,truncate}'::text[]) as privilege
 where c.oid >= 16384 and c.relkind in ('r', 'p', 'v') and has_table_privilege(%s, c.oid, privilege)
 group by c.oid
"""
# A policy's function that acts as the login, reads something, and hides that it did.
READS = """
create function reads(query text) returns boolean language plpgsql as $$
declare
    found boolean;
begin
    {};
    begin
        execute query into found;
    exception when insufficient_privilege then
        found := false;
    end;
    perform set_config('role', 'ayb_authenticated', true);
    return found;
end $$;
create policy reads on notes using (reads(body));
"""
ESCAPES = (
    "perform set_config('role', 'none', true)",
    "reset role",
    "set local role none",
    "set session authorization default",
)
SECRETS = (
    "select exists (select from users where password <> '')",
    "select exists (select from ayb_realtime.change)",
    "select exists (select from ayb_realtime.change_0 union all select from ayb_realtime.change_1)",
    "select exists (select from ayb_realtime.refresh)",
    "select exists (select from ayb_realtime.open_streams)",
    "select exists (select from ayb_realtime.current_values_v1('notes'::regclass, '{author}', '[{\"n\":1,\"k1\":0}]')"
    " where texts is not null)",
)


async def test_changes_arrive_with_three_logins_that_may_do_no_more_than_they_need_to(
    site: Owner, memory_layer: BaseChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    make_roles(site)
    site.execute(roles_sql().encode())
    rights = {role: dict(site.execute(HELD, [role]).fetchall()) for role in RIGHTS}
    assert rights == RIGHTS
    async with streaming(memory_layer) as hub:
        stream = await open_stream(hub, person(1), "notes")
        site.execute("insert into notes values (1, '2'), (2, '1')")
        assert (await stream.next_action())[1]["id"] == 2
        site.execute("alter table notes add mood int; update notes set mood = 3 where id = 2")
        assert (await stream.next_action())[1]["mood"] == 3
        assert (await stream.next()).event == "reset"
        site.execute("delete from notes where id = 2")
        assert (await stream.next_action())[0] == "delete"
    assert "permission" not in caplog.text


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("has_own_login", [True, False])
async def test_policy_that_acts_as_the_hubs_login_reads_nothing_unless_that_is_the_owners(
    site: Owner, memory_layer: BaseChannelLayer, settings: Any, has_own_login: bool, escape: str
) -> None:
    make_roles(site)
    if not has_own_login:
        settings.AYB_REALTIME = {"DATABASE": "another"}
    site.execute(READS.format(escape).encode())
    site.execute(
        "insert into ayb_realtime.refresh (id, client_id, expires_at, seal) values (gen_random_uuid(), '', '', '')"
    )
    site.execute("insert into ayb_realtime.open_streams values (gen_random_uuid(), '', now())")
    async with streaming(memory_layer) as hub:
        stream = await open_stream(hub, person(1), "notes")
        for number, secret in enumerate(SECRETS):
            site.execute("insert into notes values (%s, '2', %s)", [number, secret])
        site.execute("insert into notes values (9, '1', 'select true')")
        expected = [9] if has_own_login else [0, 1, 2, 3, 4, 5, 9]
        assert await stream.next_ids(len(expected)) == expected


def test_check_says_what_is_given_away_until_the_logins_are_apart(site: Owner, settings: Any) -> None:
    def found() -> list[str]:
        messages = run_checks(tags=[Tags.database], databases=["another"], include_deployment_checks=True)
        return [message.msg for message in messages if message.id == "ayb_realtime.W045"]

    settings.AYB_REALTIME = {"DATABASE": "another"}
    (message,) = found()
    assert "a policy can act as it" in message
    assert "the relay logs in as it" in message
    assert "each write to a streamed table runs a function of ours as it" in message
    settings.AYB_REALTIME = THREE
    make_roles(site)
    assert found() == []
    site.execute(sql.SQL("grant select on users to {}").format(sql.Identifier(HUB)))
    (message,) = found()
    assert message.startswith(f"The role {HUB} may read public.users, which no subscriber may, and a policy can act as")


def lacking() -> list[str]:
    """Return which roles the check says lack a right."""
    messages = run_checks(tags=[Tags.database], databases=["another"])
    return [message.msg.partition(",")[0] for message in messages if message.id == "ayb_realtime.W054"]


def test_login_that_lacks_a_right_is_told_by_the_check_and_the_relay(site: Owner) -> None:
    both = [f"The role {role}" for role in sorted((HUB, RELAY))]
    assert lacking() == both
    make_roles(site)
    assert lacking() == []
    # As an upgrade does.
    site.execute("create function ayb_realtime.later_v1() returns int language sql as 'select 1'")
    site.execute("revoke execute on function ayb_realtime.later_v1() from public")
    assert lacking() == both
    make_roles(site)
    assert lacking() == []
    site.execute(sql.SQL("revoke usage on schema ayb_realtime from {}").format(sql.Identifier(RELAY)))
    assert lacking() == [f"The role {RELAY}"]
    with pytest.raises(CommandError, match=r"permission denied for schema ayb_realtime.*manage\.py realtime_roles"):
        call_command("runrealtime", "--check")


ELSEWHERE = f"""
create schema elsewhere;
create extension hstore schema elsewhere;
create type elsewhere.kind as enum ('a', 'b');
create table items (kind elsewhere.kind primary key, author text, more elsewhere.hstore);
create policy own on items using ({OWN});
alter table items enable row level security;
"""


REVOKED = sql.SQL("revoke usage on schema elsewhere from {}, {}").format(sql.Identifier(DEFINER), sql.Identifier(HUB))


async def test_table_with_types_of_another_schema_streams_once_it_is_enabled_or_the_roles_are_made(
    site: Owner, memory_layer: BaseChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    async def written(kind: str) -> Any:
        async with streaming(memory_layer) as hub:
            stream = await open_stream(hub, person(1), "items")
            site.execute("insert into items values (%s, '1', 'a=>1')", [kind])
            return await stream.next_action()

    make_roles(site)
    site.execute(f"{ELSEWHERE}; select ayb_realtime.enable_v1('items')".encode())
    assert await written("a") == ("create", {"kind": "a", "author": "1", "more": {"a": "1"}})
    site.execute(REVOKED)
    make_roles(site)
    assert await written("b") == ("create", {"kind": "b", "author": "1", "more": {"a": "1"}})
    assert "permission" not in caplog.text


def test_schema_of_a_type_that_a_role_may_not_use_is_told_by_the_check(site: Owner) -> None:
    make_roles(site)
    site.execute(f"{ELSEWHERE}; select ayb_realtime.enable_v1('items')".encode())
    assert lacking() == []
    site.execute(REVOKED)
    assert lacking() == [f"The role {role} may not use the schema elsewhere" for role in sorted((DEFINER, HUB))]
    make_roles(site)
    assert lacking() == []
    site.execute(REVOKED)
    # As `migrate` ends.
    assert site.execute("select ayb_realtime.make_check_functions_v1('{ayb_authenticated}')").fetchall() == []
    assert lacking() == []


def test_command_makes_the_roles_itself_where_it_may(site: Owner) -> None:
    call_command("realtime_roles", "--definer", DEFINER, stdout=(out := StringIO()))
    assert HUB in out.getvalue()
    for role, rights in RIGHTS.items():
        assert dict(site.execute(HELD, [role]).fetchall()) == rights


def test_role_that_may_do_more_is_refused(site: Owner) -> None:
    site.execute(sql.SQL("create role {} login createrole").format(sql.Identifier(HUB)))
    with pytest.raises(CommandError, match="may do more than they need to: hub"):
        call_command("realtime_roles", "--definer", DEFINER)


# It leaves a lock for each identity that is asked about a row.
ASKED = """
create function is_asked() returns boolean language plpgsql cost 0.0001 as $$
begin
    perform pg_advisory_lock_shared(4712, current_setting('ayb.user_id')::int);
    return true;
end $$;
create policy asked on notes as restrictive using (is_asked())
"""


async def test_hub_that_may_not_read_a_table_asks_those_whom_the_logged_rows_name(
    site: Owner, memory_layer: BaseChannelLayer
) -> None:
    make_roles(site)
    site.execute(ASKED.encode())
    async with streaming(memory_layer) as hub:
        people = [await open_stream(hub, person(number), "notes") for number in range(shortlist.FEW + 1)]
        # The second is checked in one message.
        for number in (1, 2):
            site.execute("insert into notes values (%s, '3')", [number])
            assert await people[3].next_ids(1) == [number]
            asked = "select array_agg(distinct objid::int) from pg_locks where locktype = 'advisory' and classid = 4712"
            assert site.execute(asked.encode()).fetchone() == ([3],)
