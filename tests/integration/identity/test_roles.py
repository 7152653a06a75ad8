"""Roles that policies do not bind get no stream, and their open streams end."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from channels.layers import BaseChannelLayer
from django.test import AsyncClient

from ayb_realtime import visibility
from ayb_realtime.exceptions import RoleRefused
from ayb_realtime.hub.hub import Hub
from ayb_realtime.identity import ANONYMOUS_ROLE, AUTHENTICATED_ROLE, Identity
from ayb_realtime.postgres import sessions
from ayb_realtime.visibility import as_identity
from tests.integration.conftest import GRANTEES
from tests.integration.identity.conftest import MakeRole, refused, under
from tests.integration.scenario import MakeTable, Owner, open_stream, person, relaying

UNAVAILABLE = (503, {"code": 503, "message": "database unavailable"})


def superuser(owner: Owner, make_role: MakeRole) -> str:
    """Return the role that created the cluster."""
    return str((owner.execute("select rolname from pg_roles where oid = 10").fetchone() or [""])[0])


def bypasser(owner: Owner, make_role: MakeRole) -> str:
    """Create a role with BYPASSRLS; if the tests' user may not, return another role that has it."""
    try:
        return make_role("bypassrls")
    except psycopg.errors.InsufficientPrivilege:
        return superuser(owner, make_role)


def tables_owner(owner: Owner, make_role: MakeRole) -> str:
    """Make a role the owner of the table."""
    role = make_role()
    owner.execute(f'grant create on schema public to "{role}"'.encode())
    owner.execute(f'alter table notes owner to "{role}"'.encode())
    return role


def heir_of_the_owner(owner: Owner, make_role: MakeRole) -> str:
    """Let a role act as the table's owner through another role."""
    owners, between, heir = tables_owner(owner, make_role), make_role("noinherit"), make_role("noinherit")
    owner.execute(f'grant "{owners}" to "{between}"'.encode())
    owner.execute(f'grant "{between}" to "{heir}"'.encode())
    return heir


def missing(owner: Owner, make_role: MakeRole) -> str:
    """Return a name that no role has."""
    return "No such role"


POWERFUL = [
    (superuser, r"is a superuser, .* ALTER ROLE .* NOSUPERUSER NOBYPASSRLS;"),
    (bypasser, "is a superuser|has BYPASSRLS"),
    (tables_owner, r'"Role .*" owns the streamed table notes, .*Let IDENTITY name another role\.$'),
    (heir_of_the_owner, r"owns the streamed table notes, .*than .*, its member, or run this: REVOKE .* FROM .*;"),
    (missing, r'There is no role "No such role"\. .*CREATE ROLE "No such role" NOLOGIN; GRANT "No such role" TO .*;'),
]


@pytest.mark.parametrize(("kind", "told"), POWERFUL)
async def test_role_that_policies_do_not_hold_gets_no_stream(
    the_hub: Hub,
    async_client: AsyncClient,
    owner: Owner,
    make_table: MakeTable,
    make_role: MakeRole,
    token: Callable[..., str],
    settings: Any,
    caplog: pytest.LogCaptureFixture,
    kind: Callable[..., str],
    told: str,
) -> None:
    make_table("notes", "id int primary key", policy="false")
    settings.AYB_REALTIME = {"IDENTITY": under(kind(owner, make_role))}
    assert await refused(async_client, await sync_to_async(token)()) == UNAVAILABLE
    (line,) = [record.message for record in caplog.records if record.name == "ayb_realtime.refusals"]
    assert re.search(told, line)
    assert not the_hub.live_subscribers


@pytest.mark.parametrize(("kind", "told"), POWERFUL)
def test_role_that_policies_do_not_hold_reads_nothing_in_a_block(
    owner: Owner, make_table: MakeTable, make_role: MakeRole, kind: Callable[..., str], told: str
) -> None:
    make_table("notes", "id int primary key", policy="false")
    with pytest.raises(RoleRefused, match=told), as_identity(Identity(kind(owner, make_role), ())):
        pytest.fail("the block was entered")


async def test_role_that_comes_to_own_the_table_ends_its_streams_and_no_others(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    owner: Owner,
    make_table: MakeTable,
    make_role: MakeRole,
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_table("notes", "id int primary key", policy="false")
    reader = make_role()
    owner.execute(f'grant select on notes to "{reader}"'.encode())
    owner.execute("create policy everything on notes to ayb_authenticated using (true)")
    async with relaying(memory_layer):
        other = await open_stream(the_hub, person(1), "notes")
        stream = await open_stream(the_hub, Identity(reader, ()), "notes")
        owner.execute(f'grant create on schema public to "{reader}"'.encode())
        owner.execute(f'alter table notes owner to "{reader}"'.encode())
        owner.execute("insert into notes values (1)")
        with pytest.raises(StopAsyncIteration):
            await stream.next()
        assert (await other.next_change())["record"] == {"id": 1}
        assert f'notes: streams end. "{reader}" owns the streamed table notes' in caplog.text
        with pytest.raises(RoleRefused):
            await open_stream(the_hub, Identity(reader, ()), "notes")


async def test_role_that_is_gone_ends_its_streams(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("notes", "id int primary key")
    owner.execute("create role short_lived nologin")
    owner.execute(f"grant short_lived to {GRANTEES}".encode())
    async with relaying(memory_layer):
        stream = await open_stream(the_hub, Identity("short_lived", ()), "notes")
        owner.execute("drop role short_lived")
        owner.execute("insert into notes values (1)")
        with pytest.raises(StopAsyncIteration):
            await stream.next()


async def test_thousands_that_come_at_once_share_the_check_of_their_role(
    the_hub: Hub, make_table: MakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table("notes", "id int primary key")
    asked: list[object] = []
    fetch = sessions.fetch

    async def noted(connection: visibility.Connection, query: str, parameters: Sequence[object]) -> list[Any]:
        asked.append(parameters)
        return await fetch(connection, query, parameters)

    monkeypatch.setattr(sessions, "fetch", noted)
    roles = (AUTHENTICATED_ROLE, ANONYMOUS_ROLE, "no_such_role")
    identities = [replace(person(n), role=roles[n % 3]) for n in range(1998)]
    opened = await asyncio.gather(*(the_hub.subscribe(each, ["notes"]) for each in identities), return_exceptions=True)
    assert asked == [[sorted(roles)]]
    assert [isinstance(each, RoleRefused) for each in opened] == [False, False, True] * 666
