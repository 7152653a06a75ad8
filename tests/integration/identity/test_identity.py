"""IDENTITY: who a subscriber is to Postgres."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import BaseChannelLayer
from django.contrib.auth.models import AbstractBaseUser
from django.db import connections
from django.test import AsyncClient

from ayb_realtime.exceptions import Unauthenticated
from ayb_realtime.hub.hub import Hub
from ayb_realtime.identity import AUTHENTICATED_ROLE, Identity, default_identity
from example_project.blog.models import Team, User
from tests.integration.identity.conftest import MakeRole, refused, streaming, under
from tests.integration.scenario import MakeTable, Owner, relaying

OF_THE_ORGANISATION = "org = nullif(current_setting('ayb.claims', true), '')::json ->> 'org'"


INVALID = (500, {"code": 500, "message": "invalid identity"})


def member(user: AbstractBaseUser | None, claims: Mapping[str, Any]) -> Identity:
    """Add the organisation that the token names, or "the public" without a token."""
    known = default_identity(user, claims)
    organisation = claims["org"] if user else "the public"
    return replace(known, settings=(*known.settings, ("ayb.claims", json.dumps({"org": organisation}))))


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
        streaming(async_client) as of_none,
    ):
        insert = "insert into notes values (1, %s), (2, 'acme'), (3, 'the public'), (4, null)"
        owner.execute(insert, ['o"ther \\ é 🙂'])
        owner.execute("insert into notes select 5 + n, org from notes, generate_series(0, 3) n where id = n + 1")
        ids = [[(await stream.next_change())["record"]["id"] for _ in range(2)] for stream in (
            of_another, of_acme, of_none)]  # fmt: skip
    assert ids == [[1, 5], [2, 6], [3, 7]]


async def test_callable_is_not_called_without_a_token_unless_anonymous_streams_are_on(
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
    assert not the_hub.live_subscribers


async def test_callable_may_refuse_a_user(
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
        (subscriber,) = the_hub.live_subscribers
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
