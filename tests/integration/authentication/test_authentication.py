"""Who may stream: the site's REST framework classes decide, by tokens, sessions or anything else they read."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.test import AsyncClient, RequestFactory
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.authentication import JWTAuthentication, JWTStatelessUserAuthentication
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.state import token_backend
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime.authentication import authenticate
from ayb_realtime.identity import default_identity
from tests.integration.authentication.conftest import user_id

User = get_user_model()


async def test_user_of_a_session_streams_without_a_token(
    sessions: None, get: Callable[..., Any], async_client: AsyncClient, user: Any
) -> None:
    assert await get() == (401, None)
    await async_client.aforce_login(user)
    status, stream = await get()
    assert (status, user_id(stream)) == (200, str(user.pk))
    await async_client.alogout()
    assert await get() == (401, None)


async def test_site_that_wants_a_login_everywhere_leaves_the_stream_to_its_own_rules(
    sessions: None, get: Callable[..., Any], async_client: AsyncClient, user: Any, settings: Any
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    token = str(AccessToken.for_user(user))
    assert (await get(token=token))[0] == 200
    assert await get() == (401, None)
    response = await async_client.post("/api/auth/login", {}, content_type="application/json")
    assert response.status_code == 401


async def test_stream_of_a_session_ends_when_the_session_expires(
    sessions: None, get: Callable[..., Any], async_client: AsyncClient, user: Any, settings: Any
) -> None:
    settings.SESSION_COOKIE_AGE = 3600
    await async_client.aforce_login(user)
    before = datetime.now(UTC).timestamp()
    _, stream = await get()
    assert before + 3600 <= stream.expires_at <= datetime.now(UTC).timestamp() + 3600


async def test_inactive_user_of_a_session_is_refused(
    sessions: None, get: Callable[..., Any], async_client: AsyncClient, user: Any
) -> None:
    await async_client.aforce_login(user)
    await User.objects.aupdate(is_active=False)
    assert await get() == (401, None)


async def test_token_wins_over_a_session(
    sessions: None, get: Callable[..., Any], async_client: AsyncClient, user: Any
) -> None:
    await async_client.aforce_login(user)
    other = await User.objects.acreate(email="other@example.com")
    _, stream = await get(token=str(AccessToken.for_user(other)))
    assert user_id(stream) == str(other.pk)
    assert await get(token="none") == (401, None)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://testserver"}, 200),
        ({"Origin": "http://testserver:81"}, 403),
        ({"Origin": "https://app.example.com"}, 200),
        ({"Origin": "https://app.example.com", "Sec-Fetch-Site": "cross-site"}, 200),
        ({"Origin": "https://deep.example.org"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
    ],
)
@pytest.mark.parametrize("token", ["", "of another kind"])
async def test_session_is_no_use_to_pages_of_other_sites(
    sessions: None,
    get: Callable[..., Any],
    async_client: AsyncClient,
    user: Any,
    settings: Any,
    headers: dict[str, str],
    status: int,
    token: str,
) -> None:
    settings.AYB_REALTIME = {"AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"]}
    settings.CSRF_TRUSTED_ORIGINS = ["https://app.example.com", "https://*.example.org"]
    await async_client.aforce_login(user)
    assert (await get(headers, token=token))[0] == status


class InCookie(JWTAuthentication):
    """Takes its token from a cookie, if there is one."""

    def get_header(self, request: Any) -> bytes:
        """Return the header, or what stands for it."""
        cookie = request.COOKIES.get("access")
        return f"Bearer {cookie}".encode() if cookie else super().get_header(request)


class WithScheme(SessionAuthentication):  # type: ignore[misc]  # REST framework has no types
    """Has 401 answered rather than 403."""

    def authenticate_header(self, request: Any) -> str:
        """Return a scheme."""
        return "Session"


@pytest.mark.parametrize("kind", [InCookie, WithScheme])
async def test_cookie_is_no_use_to_pages_of_other_sites_beside_a_token_that_is_none(
    sessions: None, get: Callable[..., Any], async_client: AsyncClient, user: Any, settings: Any, kind: type
) -> None:
    settings.AYB_REALTIME = {"AUTHENTICATION_CLASSES": [kind]}
    await async_client.aforce_login(user)
    async_client.cookies["access"] = str(AccessToken.for_user(user))
    assert (await get(token="x"))[0] == 200
    for site in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert await get(site, token="x") == (401, None)
        assert await get(site) == (403, None)
    status, _ = await get({"Origin": "https://evil.example"}, token=str(AccessToken.for_user(user)))
    assert (status, kind) in {(200, InCookie), (401, WithScheme)}


async def test_page_of_another_site_may_stream_by_a_token(get: Callable[..., Any], user: Any) -> None:
    headers = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    assert (await get(headers, token=str(AccessToken.for_user(user))))[0] == 200


class Keyed(TokenAuthentication):  # type: ignore[misc]  # REST framework has no types
    """A site's own tokens, each with an expiry, like those of knox."""

    keyword = "Key"

    def authenticate_credentials(self, key: str) -> tuple[Any, Any]:
        """Return the user whose id the token is."""
        try:
            found = User.objects.get(pk=key)
        except (User.DoesNotExist, ValueError) as error:
            raise AuthenticationFailed from error
        return found, SimpleNamespace(expiry=datetime(2100, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("way", ["Key {}", "key {}", "parameter"])
async def test_class_of_ones_own_is_given_header_and_parameter(
    get: Callable[..., Any], user: Any, settings: Any, way: str
) -> None:
    settings.AYB_REALTIME = {"AUTHENTICATION_CLASSES": [Keyed]}
    given = {"token": str(user.pk)} if way == "parameter" else {"headers": {"Authorization": way.format(user.pk)}}
    _, stream = await get(**given)
    assert user_id(stream) == str(user.pk)
    assert stream.expires_at == datetime(2100, 1, 1, tzinfo=UTC).timestamp()
    assert await get(token="nobody") == (401, None)


class Cookie(BaseAuthentication):  # type: ignore[misc]  # REST framework has no types
    """A site's own cookie, like that of dj-rest-auth."""

    def authenticate(self, request: Any) -> tuple[Any, None] | None:
        """Return the user whose id the cookie is."""
        return (User.objects.get(pk=request.COOKIES["who"]), None) if "who" in request.COOKIES else None


class Nested(BaseAuthentication):  # type: ignore[misc]  # REST framework has no types
    """Reads JSON of the request, as older versions of PyJWT read a token's header."""

    def authenticate(self, request: Any) -> None:
        json.loads(request.headers["Authorization"])


async def test_credentials_that_are_nested_too_deeply_are_refused(get: Callable[..., Any], settings: Any) -> None:
    settings.AYB_REALTIME = {"AUTHENTICATION_CLASSES": [Nested]}
    assert await get({"Authorization": "[" * 15_000}) == (401, None)


def test_request_does_not_outlive_its_authentication(user: Any, settings: Any) -> None:
    seen: list[weakref.ref[Any]] = []

    class Watched(Cookie):
        def authenticate(self, request: Any) -> tuple[Any, None] | None:
            seen.append(weakref.ref(request))
            return super().authenticate(request)

    settings.AYB_REALTIME = {"AUTHENTICATION_CLASSES": [Watched]}
    request = RequestFactory().get("/api/realtime")
    request.COOKIES["who"] = str(user.pk)
    gc.disable()
    try:
        assert authenticate(request).user == user
        assert seen[0]() is None
    finally:
        gc.enable()


async def test_cookie_of_ones_own_is_no_use_to_pages_of_other_sites(
    get: Callable[..., Any], async_client: AsyncClient, user: Any, settings: Any
) -> None:
    settings.AYB_REALTIME = {"AUTHENTICATION_CLASSES": [Cookie]}
    async_client.cookies["who"] = str(user.pk)
    assert user_id((await get())[1]) == str(user.pk)
    evil = {"Origin": "https://evil.example"}
    assert await get(evil) == (403, None)
    assert await get(evil, token="x") == (403, None)
    assert await get({**evil, "Authorization": "Bearer x"}) == (403, None)


class TestSimpleJWT:
    """Settings of REST framework apply as in the site's own views."""

    async def test_stream_lasts_as_long_as_the_token_with_its_leeway(
        self, get: Callable[..., Any], user: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(token_backend, "leeway", timedelta(minutes=5))
        token = AccessToken.for_user(user)
        token.set_exp(lifetime=timedelta(minutes=-1))
        status, stream = await get(token=str(token))
        assert (status, stream.expires_at) == (200, token["exp"] + 300)

    @pytest.mark.parametrize("scheme", ["JWT", "Bearer", "jwt", "BEARER"])
    async def test_each_type_of_header_is_taken(
        self, get: Callable[..., Any], user: Any, monkeypatch: pytest.MonkeyPatch, scheme: str
    ) -> None:
        for module in ("rest_framework_simplejwt.authentication", "ayb_realtime.authentication"):
            monkeypatch.setattr(f"{module}.AUTH_HEADER_TYPES", ("JWT", "Bearer"))
        types = {b"JWT", b"Bearer"}
        monkeypatch.setattr("rest_framework_simplejwt.authentication.AUTH_HEADER_TYPE_BYTES", types)
        token = str(AccessToken.for_user(user))
        assert (await get({"Authorization": f"{scheme} {token}"}))[0] == 200
        assert (await get(token=token))[0] == 200

    async def test_header_of_another_name_is_taken(
        self, get: Callable[..., Any], user: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api_settings, "AUTH_HEADER_NAME", "HTTP_X_TOKEN")
        token = str(AccessToken.for_user(user))
        assert (await get({"X-Token": f"Bearer {token}"}))[0] == 200
        assert (await get(token=token))[0] == 200
        assert await get({"Authorization": f"Bearer {token}"}) == (401, None)

    async def test_user_without_a_row_is_known_by_the_token(self, get: Callable[..., Any], settings: Any) -> None:
        settings.AYB_REALTIME = {"AUTHENTICATION_CLASSES": [JWTStatelessUserAuthentication]}
        token = AccessToken()
        token.payload.update({"user_id": "7", "email": "seven@example.com"})
        _, stream = await get(token=str(token))
        assert dict(stream.identity.settings) == {"ayb.user_id": "7", "ayb.user_email": "seven@example.com"}


async def test_anonymous_user_of_a_session_is_an_anonymous_stream(
    sessions: None, get: Callable[..., Any], settings: Any, transactional_db: None
) -> None:
    seen: list[Any] = []

    def identity(user: Any, claims: Any) -> Any:
        assert not isinstance(user, AnonymousUser)
        seen.append(user)
        return default_identity(user, claims)

    settings.AYB_REALTIME = {"ANONYMOUS": True, "IDENTITY": identity}
    assert (await get())[0] == 200
    assert seen == [None]
