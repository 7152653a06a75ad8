"""``POST /api/realtime/{clientId}/token``: who may let a stream go on, and until when."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from channels.layers import BaseChannelLayer
from django.test import AsyncClient, Client
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.lifetime import refreshing
from ayb_realtime.identity import Identity, default_identity
from tests.integration.authentication.conftest import SESSION
from tests.integration.refreshing.conftest import User, token_of
from tests.integration.scenario import Stream
from tests.integration.views.conftest import INVALID, UNAUTHENTICATED, answer

REFUSED = (403, {"code": 403, "message": "the stream is of another user or other credentials: open another one"})
NO_SUCH_STREAM = (404, {"code": 404, "message": "no such stream"})
CROSS_SITE = (403, {"code": 403, "message": "cross-site request"})


class Site:
    """Requests of one client."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.responses: list[Any] = []

    async def open(self, token: object = "") -> tuple[str, Stream]:
        """Open a stream; return its id and the stream after its greeting."""
        response: Any = await self.client.get(
            "/api/realtime", {"tables": "posts", **({"token": str(token)} if token else {})}
        )
        self.responses.append(response)
        stream = Stream(response.streaming_content)
        return (await stream.next()).json()["clientId"], stream

    async def refresh(self, client_id: str, token: object = "", **headers: str) -> tuple[int, Any]:
        """Send newer credentials; return the status, and the body if there is one."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        response = await self.client.post(f"/api/realtime/{client_id}/token", headers=headers)
        return response.status_code, json.loads(response.content or "null")


@pytest_asyncio.fixture
async def site(memory_layer: BaseChannelLayer, the_hub: Hub, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(refreshing, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(refreshing, "ANSWER_SECONDS", 0.1)
    site = Site(AsyncClient(enforce_csrf_checks=True))
    yield site
    for response in site.responses:
        await sync_to_async(response.close)()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the clock of the streams, in seconds since the epoch."""
    return lambda seconds: monkeypatch.setattr("ayb_realtime.hub.streams.subscriber.time.time", lambda: seconds)


async def test_stream_goes_on_until_its_newer_token_expires(
    site: Site, the_hub: Hub, user: Any, now: Callable[[float], None]
) -> None:
    first, second = token_of(user, 1), token_of(user, 5)
    client_id, stream = await site.open(first)
    assert await site.refresh(client_id, second) == (204, None)
    now(first["exp"] + 1)
    the_hub.beat()
    (subscriber,) = the_hub.live_subscribers
    subscriber.tick()
    assert not subscriber.ended
    now(second["exp"] + 1)
    subscriber.tick()
    assert (await stream.next()).event == "expired"
    assert await site.refresh(client_id, token_of(user, 9)) == NO_SUCH_STREAM


async def test_older_token_that_arrives_late_changes_nothing(site: Site, the_hub: Hub, user: Any) -> None:
    first, second = token_of(user, 1), token_of(user, 5)
    client_id, _ = await site.open(first)
    for token in (second, first):
        assert await site.refresh(client_id, token) == (204, None)
    (subscriber,) = the_hub.live_subscribers
    assert subscriber.expires_at == second["exp"]


async def test_what_is_no_stream_of_the_user_is_refused(site: Site, the_hub: Hub, user: Any, stranger: Any) -> None:
    token = token_of(user, 1)
    client_id, _ = await site.open(token)
    assert await site.refresh(client_id, token_of(stranger, 5)) == REFUSED
    assert await site.refresh(client_id) == UNAUTHENTICATED
    assert await site.refresh(client_id, "x") == INVALID
    assert await site.refresh(client_id, token_of(user, -1)) == INVALID
    for unknown in ("0" * 32, "x", "0" * 31 + "\0", client_id + "0", "\u0663" * 32):
        assert await site.refresh(unknown, token) == NO_SUCH_STREAM
    (subscriber,) = the_hub.live_subscribers
    assert subscriber.expires_at == token["exp"]


async def test_only_post_is_taken(site: Site, user: Any) -> None:
    client_id, _ = await site.open(token_of(user, 1))
    response = await site.client.get(f"/api/realtime/{client_id}/token")
    assert (response.status_code, response["Allow"]) == (405, "POST")


async def test_token_with_which_the_user_would_see_other_rows_is_refused(site: Site, user: Any, settings: Any) -> None:
    def identity(user: Any, claims: Any) -> Identity:
        known = default_identity(user, claims)
        return replace(known, settings=(*known.settings, ("ayb.org", claims["org"])))

    settings.AYB_REALTIME = {"IDENTITY": identity}
    client_id, _ = await site.open(token_of(user, 1, org="north"))
    assert await site.refresh(client_id, token_of(user, 5, org="south")) == REFUSED
    assert await site.refresh(client_id, token_of(user, 5, org="north")) == (204, None)


async def test_users_without_rows_are_told_apart_where_their_identity_is_the_same(site: Site, settings: Any) -> None:
    settings.AYB_REALTIME = {
        "AUTHENTICATION_CLASSES": [JWTStatelessUserAuthentication],
        "IDENTITY": lambda *_: Identity("ayb_authenticated", ()),
    }
    seven, eight = AccessToken(), AccessToken()
    seven["user_id"], eight["user_id"] = "7", "8"
    client_id, _ = await site.open(seven)
    assert await site.refresh(client_id, eight) == REFUSED
    assert await site.refresh(client_id, seven) == (204, None)


@pytest.fixture
def sessions(settings: Any) -> None:
    """A site with sessions that asks for CSRF tokens."""
    for name, value in SESSION.items():
        setattr(settings, name, value)
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware"]


async def test_session_refreshes_its_own_stream_from_the_sites_own_pages(
    sessions: None, site: Site, the_hub: Hub, user: Any, settings: Any
) -> None:
    settings.SESSION_COOKIE_AGE = 60
    await site.client.aforce_login(user)
    client_id, _ = await site.open()
    (subscriber,) = the_hub.live_subscribers
    before = subscriber.expires_at
    assert before is not None
    settings.SESSION_COOKIE_AGE = 3600
    assert await site.refresh(client_id, Origin="https://evil.example") == CROSS_SITE
    assert await site.refresh(client_id, **{"Sec-Fetch-Site": "cross-site"}) == CROSS_SITE
    assert subscriber.expires_at == before
    assert await site.refresh(client_id, Origin="http://testserver") == (204, None)
    assert subscriber.expires_at >= before + 3000


async def test_stream_of_a_session_does_not_go_on_by_a_token_or_another_session(
    sessions: None, site: Site, user: Any
) -> None:
    await site.client.aforce_login(user)
    client_id, _ = await site.open()
    assert await site.refresh(client_id, token_of(user, 5)) == REFUSED
    await User.objects.filter(pk=user.pk).aupdate(password="another")
    await user.arefresh_from_db()
    await site.client.aforce_login(user)
    assert await site.refresh(client_id) == REFUSED


async def test_database_that_does_not_answer_is_told(
    site: Site, user: Any, owner: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await sync_to_async(owner.execute)("alter table ayb_realtime.refresh rename to away")
    try:
        status, body = await site.refresh("0" * 32, token_of(user, 1))
    finally:
        await sync_to_async(owner.execute)("alter table ayb_realtime.away rename to refresh")
    assert (status, body["message"]) == (503, "database unavailable")
    assert 'no stream can be refreshed: relation "ayb_realtime.refresh" does not exist' in caplog.text


def test_server_that_cannot_stream_says_so(user: Any) -> None:
    headers = {"Authorization": f"Bearer {token_of(user, 1)}"}
    assert answer(Client().post(f"/api/realtime/{'0' * 32}/token", headers=headers)) == (
        500,
        {"code": 500, "message": "streaming not supported"},
    )
