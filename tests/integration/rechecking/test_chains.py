"""A stream by a token of the accounts endpoints ends when its refresh token does: by a logout, a ban, a second use."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.db import transaction
from django.test import AsyncClient
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, BlacklistMixin, RefreshToken

from ayb_realtime.access.proofs import Chain, disproved
from ayb_realtime.access.token_chains import CLAIM
from ayb_realtime.accounts.rotation import GRACE
from ayb_realtime.hub.registry import get_hub
from ayb_realtime.testing import RealtimeClient
from ayb_realtime.testing.streams import Stream
from example_project.blog.models import User
from tests.integration.rechecking.conftest import assert_ends, assert_goes_on

PASSWORD = "correct horse"


class Login:
    """What a user has after a login: the tokens, and those that replaced them."""

    def __init__(self, email: str) -> None:
        self.email = email
        self.client = AsyncClient()
        self.pairs: list[dict[str, Any]] = []

    async def post(self, path: str, **body: str) -> Any:
        response = await self.client.post(f"/api/auth/{path}", json.dumps(body), content_type="application/json")
        return response.status_code, json.loads(response.content or "{}")

    async def log_in(self) -> Login:
        """Log in."""
        status, body = await self.post("login", email=self.email, password=PASSWORD)
        assert status == 200
        self.pairs.append(body)
        return self

    async def refresh(self, turn: int = -1) -> int:
        """Exchange a refresh token; return the status."""
        status, body = await self.post("refresh", refreshToken=self.pairs[turn]["refreshToken"])
        self.pairs += [body] if status == 200 else []
        return int(status)

    async def stream(self, realtime: RealtimeClient, turn: int = -1) -> Stream:
        """Open a stream by an access token."""
        headers = {"Authorization": f"Bearer {self.pairs[turn]['token']}"}
        return await realtime.stream(None, ["posts"], headers=headers)


@pytest.fixture
def account(site: None) -> User:
    cache.clear()
    return User.objects.create_user("somebody@example.com", PASSWORD)


async def logged_in(account: User) -> Login:
    return await Login(account.email).log_in()


async def log_out(login: Login) -> None:
    assert (await login.post("logout", refreshToken=login.pairs[-1]["refreshToken"]))[0] == 204


async def log_out_by_an_older_token(login: Login) -> None:
    assert (await login.post("logout", refreshToken=login.pairs[0]["refreshToken"]))[0] == 204


async def use_twice(login: Login) -> None:
    await BlacklistedToken.objects.aupdate(blacklisted_at=timezone.now() - GRACE)
    assert await login.refresh(0) == 401
    assert await login.refresh() == 401


async def blacklist(login: Login) -> None:
    jti = RefreshToken(login.pairs[-1]["refreshToken"], verify=False)["jti"]
    await BlacklistedToken.objects.acreate(token=await OutstandingToken.objects.aget(jti=jti))


@pytest.mark.parametrize("end", [log_out, log_out_by_an_older_token, use_twice, blacklist])
async def test_streams_of_a_login_end_with_its_refresh_token(
    realtime: RealtimeClient, account: User, end: Callable[[Login], Awaitable[None]]
) -> None:
    login, elsewhere = await logged_in(account), await logged_in(account)
    stream = await login.stream(realtime)
    assert await login.refresh() == 200
    others = await elsewhere.stream(realtime)
    await end(login)
    await assert_ends(stream, lambda: login.stream(realtime))
    with pytest.raises(AssertionError, match="The stream was refused: 401"):
        await login.stream(realtime, 0)
    await assert_goes_on(others)
    assert await elsewhere.refresh() == 200


async def test_stream_goes_on_while_refresh_tokens_replace_each_other(realtime: RealtimeClient, account: User) -> None:
    login = await logged_in(account)
    stream = await login.stream(realtime)
    (subscriber,) = (await get_hub()).open_streams()
    for _ in range(3):
        assert await login.refresh() == 200
        headers = {"Authorization": f"Bearer {login.pairs[-1]['token']}"}
        assert (
            await login.client.post(f"/api/realtime/{subscriber.client_id}/token", headers=headers)
        ).status_code == 204
    await assert_goes_on(stream)


async def test_rotation_by_simplejwts_own_view_keeps_the_chain(realtime: RealtimeClient, account: User) -> None:
    login = await logged_in(account)
    stream = await login.stream(realtime)

    @sync_to_async
    @transaction.atomic  # A look between the two finds that the chain has ended.
    def rotate() -> Any:
        """Do what TokenRefreshSerializer does."""
        refresh = RefreshToken(login.pairs[0]["refreshToken"])
        refresh.blacklist()
        refresh.set_jti()
        refresh.outstand()
        return refresh

    refresh = await rotate()
    await assert_goes_on(stream)
    await sync_to_async(refresh.blacklist)()
    await assert_ends(stream, lambda: login.stream(realtime))


def test_one_query_asks_about_the_chains_of_all_users(account: User, django_assert_num_queries: Any) -> None:
    users = [account, *(User.objects.create(email=f"{number}@example.com") for number in range(3))]
    chains = [Chain(str(user.pk), RefreshToken.for_user(user)["jti"]) for user in users]
    with django_assert_num_queries(1):
        assert disproved([*chains, Chain(str(account.pk), "x")]) == {Chain(str(account.pk), "x")}


async def test_tokens_that_no_table_has_depend_on_none(
    realtime: RealtimeClient, account: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        BlacklistMixin, "for_user", classmethod(lambda cls, user: super(BlacklistMixin, cls).for_user(user))
    )
    login = await logged_in(account)
    assert CLAIM not in AccessToken(login.pairs[0]["token"])
    await assert_goes_on(await login.stream(realtime))
