"""Who a subscriber is: the setting ``IDENTITY``, and the roles that it may and may not name."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from asgiref.sync import sync_to_async
from channels.layers import BaseChannelLayer
from django.contrib.auth.models import AbstractBaseUser
from django.db import connections
from django.test import AsyncClient
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime import visibility
from ayb_realtime.exceptions import RoleRefused, Unauthenticated
from ayb_realtime.hub.hub import Hub
from ayb_realtime.identity import AUTHENTICATED_ROLE, Identity, default_identity
from ayb_realtime.visibility import as_identity
from example_project.blog.models import Team, User
from tests.integration.scenario import MakeTable, Owner, Stream, open_stream, person, relaying

MakeRole = Callable[..., str]

OF_THE_ORGANISATION = "org = nullif(current_setting('ayb.claims', true), '')::json ->> 'org'"
INVALID = (500, {"code": 500, "message": "invalid identity"})
UNAVAILABLE = (503, {"code": 503, "message": "database unavailable"})


def member(user: AbstractBaseUser | None, claims: Mapping[str, Any]) -> Identity:
    """Add the organisation that the token names, and one for everybody who has none."""
    known = default_identity(user, claims)
    organisation = claims["org"] if user else "the public"
    return replace(known, settings=(*known.settings, ("ayb.claims", json.dumps({"org": organisation}))))


def under(role: str) -> Callable[..., Identity]:
    """Return what gives everybody this role."""
    return lambda user, claims: replace(default_identity(user, claims), role=role)


@pytest.fixture
def make_role(owner: Owner) -> Iterator[MakeRole]:
    """Make roles that the tables' owner may act as."""
    made: list[str] = []

    def make(options: str = "") -> str:
        name = f"Role {uuid4().hex}"
        owner.execute(f'create role "{name}" nologin {options}'.encode())
        made.append(name)
        owner.execute(f'grant "{name}" to current_user'.encode())
        return name

    yield make
    for name in made:
        owner.execute(f'drop owned by "{name}"'.encode())
        owner.execute(f'drop role "{name}"'.encode())


@pytest.fixture
def token(transactional_db: None) -> Callable[..., str]:
    """Issue an access token with these claims to a new user."""

    def issue(**claims: object) -> str:
        issued = AccessToken.for_user(User.objects.create(email=f"{uuid4().hex}@example.com"))
        issued.payload.update(claims)
        return str(issued)

    return issue


@asynccontextmanager
async def streaming(client: AsyncClient, **parameters: str) -> AsyncIterator[Stream]:
    """Open a stream of the table "notes", and close it as Django does once a client has gone."""
    response: Any = await client.get("/api/realtime", {"tables": "notes", **parameters})
    assert response.status_code == 200, response.content
    stream = Stream(response.streaming_content)
    try:
        assert (await stream.next()).event == "connected"
        yield stream
    finally:
        await sync_to_async(response.close)()


async def refused(client: AsyncClient, token: str) -> tuple[int, Any]:
    """Ask for a stream that is not to be had; return the answer."""
    response: Any = await client.get("/api/realtime", {"tables": "notes", "token": token})
    return response.status_code, json.loads(response.content)


async def test_claims_of_the_token_decide_by_a_setting_of_ones_own(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    async_client: AsyncClient,
    owner: Owner,
    make_table: MakeTable,
    token: Callable[..., str],
    settings: Any,
) -> None:
    settings.AYB_REALTIME = {"IDENTITY": f"{__name__}.member", "ANONYMOUS": True}
    make_table("notes", "id int primary key, org text", policy=OF_THE_ORGANISATION)
    owner.execute("grant select on notes to ayb_anonymous")
    acme, other = [await sync_to_async(token)(org=org) for org in ("acme", 'o"ther \\ é 🙂')]
    async with (
        relaying(memory_layer),
        streaming(async_client, token=acme) as of_acme,
        streaming(async_client, token=other) as of_another,
        streaming(async_client) as of_nobody,
    ):
        insert = "insert into notes values (1, %s), (2, 'acme'), (3, 'the public'), (4, null)"
        owner.execute(insert, ['o"ther \\ é 🙂'])
        owner.execute("insert into notes select 5 + n, org from notes, generate_series(0, 3) n where id = n + 1")
        ids = [[(await stream.next_change())["record"]["id"] for _ in range(2)] for stream in (
            of_another, of_acme, of_nobody)]  # fmt: skip
    assert ids == [[1, 5], [2, 6], [3, 7]]


async def test_nobody_is_asked_about_who_has_no_token_unless_anonymous_streams_are_on(
    the_hub: Hub, async_client: AsyncClient, make_table: MakeTable, settings: Any
) -> None:
    asked: list[tuple[object, Mapping[str, Any]]] = []

    def identity(user: AbstractBaseUser | None, claims: Mapping[str, Any]) -> Identity:
        asked.append((user, claims))
        return default_identity(user, claims)

    make_table("notes", "id int primary key")
    settings.AYB_REALTIME = {"IDENTITY": identity}
    assert (await refused(async_client, ""))[0] == 401
    assert asked == []
    settings.AYB_REALTIME = {"IDENTITY": identity, "ANONYMOUS": True}
    async with streaming(async_client):
        assert asked == [(None, {})]


async def test_role_of_ones_own_is_sent_what_is_granted_to_it(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    async_client: AsyncClient,
    owner: Owner,
    make_table: MakeTable,
    make_role: MakeRole,
    token: Callable[..., str],
    settings: Any,
) -> None:
    reader = make_role()
    make_table("notes", "id int primary key", policy="id % 2 = 0")
    make_table("papers", "id int primary key")
    owner.execute(f'grant select on notes to "{reader}"'.encode())
    owner.execute(f'create policy odd_too on notes to "{reader}" using (id < 4)'.encode())
    anybodys, readers = await sync_to_async(token)(), await sync_to_async(token)()
    async with relaying(memory_layer), streaming(async_client, token=anybodys, tables="notes,papers") as stream:
        settings.AYB_REALTIME = {"IDENTITY": under(reader)}
        async with streaming(async_client, token=readers, tables="notes,papers") as own:
            owner.execute("insert into papers values (0)")
            owner.execute("insert into notes select generate_series(1, 6)")
            seen = [(await own.next_change())["record"]["id"] for _ in range(5)]
        assert [(await stream.next_change())["record"]["id"] for _ in range(4)] == [0, 2, 4, 6]
    assert seen == [1, 2, 3, 4, 6]


@pytest.mark.parametrize(
    "identity",
    [
        lambda user, claims: Identity(AUTHENTICATED_ROLE, (("search_path", "x"),)),
        lambda user, claims: Identity(AUTHENTICATED_ROLE, (("ayb.claims", claims["org"]),)),
        lambda user, claims: Identity("none", ()),
        lambda user, claims: None,
    ],
)
async def test_invalid_identity_is_an_error_and_no_stream(
    the_hub: Hub,
    async_client: AsyncClient,
    token: Callable[..., str],
    identity: object,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.AYB_REALTIME = {"IDENTITY": identity}
    assert await refused(async_client, await sync_to_async(token)(org="nobody's\0business")) == INVALID
    assert "no stream can be opened: " in caplog.text
    assert "business" not in caplog.text
    assert not the_hub.subscribers


async def test_callable_may_refuse_somebody(
    the_hub: Hub, async_client: AsyncClient, token: Callable[..., str], settings: Any
) -> None:
    def identity(user: AbstractBaseUser | None, claims: Mapping[str, Any]) -> Identity:
        raise Unauthenticated(f"{claims['org']} has not paid")

    settings.AYB_REALTIME = {"IDENTITY": identity}
    unpaid = await sync_to_async(token)(org="acme")
    assert await refused(async_client, unpaid) == (401, {"code": 401, "message": "acme has not paid"})


async def test_callable_may_query_and_leaves_no_connection_open(
    the_hub: Hub, async_client: AsyncClient, make_table: MakeTable, token: Callable[..., str], settings: Any
) -> None:
    used: list[Any] = []

    def identity(user: AbstractBaseUser | None, claims: Mapping[str, Any]) -> Identity:
        known = default_identity(user, claims)
        team = Team.objects.get().name
        used.append(connections["default"])
        assert used[0].connection is not None
        return replace(known, settings=(*known.settings, ("ayb.team", team)))

    settings.AYB_REALTIME = {"IDENTITY": identity}
    make_table("notes", "id int primary key")
    await Team.objects.acreate(name="the team")
    async with streaming(async_client, token=await sync_to_async(token)()):
        (subscriber,) = the_hub.subscribers
        assert dict(subscriber.identity.settings)["ayb.team"] == "the team"
        assert used[0].connection is None


async def test_user_who_is_deactivated_goes_on_in_an_open_stream_and_opens_no_other(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    async_client: AsyncClient,
    owner: Owner,
    make_table: MakeTable,
    token: Callable[..., str],
) -> None:
    make_table("notes", "email text primary key", policy="email = current_setting('ayb.user_email')")
    issued = await sync_to_async(token)()
    user = await User.objects.aget()
    async with relaying(memory_layer), streaming(async_client, token=issued) as stream:
        before, user.email, user.is_active = user.email, "changed@example.com", False
        await user.asave()
        owner.execute("insert into notes values ('changed@example.com'), (%s)", [before])
        assert (await stream.next_change())["record"] == {"email": before}
    assert (await refused(async_client, issued))[0] == 401


def superuser(owner: Owner, make_role: MakeRole) -> str:
    """Return the role that made the cluster."""
    return str((owner.execute("select rolname from pg_roles where oid = 10").fetchone() or [""])[0])


def bypasser(owner: Owner, make_role: MakeRole) -> str:
    """Make a role with BYPASSRLS; where the tests' user may not do that, return one that has it besides."""
    try:
        return make_role("bypassrls")
    except psycopg.errors.InsufficientPrivilege:
        return superuser(owner, make_role)


def tables_owner(owner: Owner, make_role: MakeRole) -> str:
    """Let a role own the table."""
    role = make_role()
    owner.execute(f'grant create on schema public to "{role}"'.encode())
    owner.execute(f'alter table notes owner to "{role}"'.encode())
    return role


def heir_of_the_owner(owner: Owner, make_role: MakeRole) -> str:
    """Let a role be able to take, by way of another one, the privileges of the table's owner."""
    owners, between, heir = tables_owner(owner, make_role), make_role("noinherit"), make_role("noinherit")
    owner.execute(f'grant "{owners}" to "{between}"'.encode())
    owner.execute(f'grant "{between}" to "{heir}"'.encode())
    return heir


def missing(owner: Owner, make_role: MakeRole) -> str:
    """Return the name of no role."""
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
    (line,) = [record.message for record in caplog.records if record.name == "ayb_realtime.views"]
    assert re.search(told, line)
    assert not the_hub.subscribers


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
    owner.execute("grant short_lived to current_user")
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
    tables = await the_hub.resolve(["notes"])
    asked: list[str] = []

    async def noted(connection: visibility.Connection, role: str) -> None:
        asked.append(role)

    monkeypatch.setattr(visibility, "check_role", noted)
    identities = [replace(person(n), role=("a", "b")[n % 2]) for n in range(2000)]
    await asyncio.gather(*(the_hub.subscribe(identity, tables) for identity in identities))
    assert sorted(asked) == ["a", "b"]
