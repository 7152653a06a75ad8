"""Which of the site's settings of REST framework and simplejwt have an effect, and which do not."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.parsers import FormParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.versioning import QueryParameterVersioning
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime.accounts.throttling import LoginThrottle
from example_project.blog.models import User
from tests.integration.accounts.conftest import LOGIN, LOGOUT, ME, REFRESH, assert_refused, assert_session, login, post

pytestmark = pytest.mark.django_db

WRONG = "invalid email or password"


def test_login_of_an_address_is_throttled(client: Client, user: User, settings: Any) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"ayb_login": "2/hour"}}
    assert_session(login(client), user)
    assert_refused(login(client, password="wrong"), 401, WRONG)

    response = login(client)

    assert response.status_code == 429
    assert response.json()["code"] == 429  # type: ignore[attr-defined]
    assert list(response.json()) == ["code", "message"]  # type: ignore[attr-defined]
    assert 0 < int(response["Retry-After"]) <= 3600
    assert_session(login(Client(REMOTE_ADDR="127.0.0.2")), user)
    assert post(client, REFRESH, {"refreshToken": "x"}).status_code == 401


def test_login_of_an_address_is_throttled_whatever_it_writes_into_a_header(client: Client, settings: Any) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"ayb_login": "2/hour"}}
    headers = [{"X-Forwarded-For": f"198.51.100.{number}, 9.9.9.9"} for number in range(3)]
    assert [login(Client(headers=each)).status_code for each in headers] == [401, 401, 429]
    assert login(Client(headers={"X-Forwarded-For": "9.9.9.9"}, REMOTE_ADDR="1.1.1.1")).status_code == 401


def test_email_with_which_a_login_is_throttled_apart_is_another(client: Client, user: User) -> None:
    user.email = "visitor@example.com"
    user.save()
    assert login(client, "VISITOR@example.com").status_code == 200
    assert login(client, "v\u0131sitor@example.com").status_code == 401  # In Postgres upper() makes an I of it.


@pytest.mark.parametrize("email", ["reader@example.com", "READER@example.com", "nobody@example.com"])
def test_login_with_an_email_is_throttled_from_all_addresses(
    client: Client, user: User, settings: Any, email: str
) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"ayb_login_email": "2/hour"}}
    for number in range(2):
        assert_refused(login(Client(REMOTE_ADDR=f"192.0.2.{number}"), email.lower(), "wrong"), 401, WRONG)

    response = login(Client(headers={"X-Forwarded-For": "made up"}), email)

    assert response.status_code == 429
    assert 0 < int(response["Retry-After"]) <= 3600
    assert_refused(login(client, "another@example.com"), 401, WRONG)


def test_attempts_of_an_address_that_is_refused_do_not_count_for_an_email(
    client: Client, user: User, settings: Any
) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"ayb_login": "1/hour", "ayb_login_email": "2/hour"}}
    codes = [login(client, password="wrong").status_code for _ in range(3)]
    assert codes == [401, 429, 429]
    assert_session(login(Client(REMOTE_ADDR="127.0.0.2")), user)


@pytest.mark.parametrize(
    ("rates", "allowed"),
    [
        ({}, 30),
        ({"ayb_login": None}, 30),
        ({"ayb_login": None, "ayb_login_email": None}, 31),
        ({"anon": "1/day"}, 30),
    ],
)
def test_login_has_a_rate_by_default(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch, rates: dict[str, Any], allowed: int
) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": rates}
    monkeypatch.setattr(LoginThrottle, "timer", lambda _: 0.0)  # All in one minute.

    codes = [login(client).status_code for _ in range(31)]

    assert codes == [401] * allowed + [429] * (31 - allowed)


def test_answers_are_kept_by_no_cache(client: Client, user: User) -> None:
    session = login(client)
    refreshed = post(client, REFRESH, {"refreshToken": session.json()["refreshToken"]})  # type: ignore[attr-defined]

    assert [answer["Cache-Control"] for answer in (session, refreshed)] == ["no-store", "no-store"]


class Closed(BaseAuthentication):  # type: ignore[misc]  # REST framework has no types
    """Lets no request in."""

    def authenticate(self, request: Any) -> Any:
        """Refuse."""
        raise AuthenticationFailed


class Seventh(QueryParameterVersioning):  # type: ignore[misc]  # REST framework has no types
    """Has one version."""

    allowed_versions = ("7",)


DEFAULTS = {
    "permission_classes": [IsAuthenticated],
    "authentication_classes": [Closed],
    "renderer_classes": [BrowsableAPIRenderer],
    "parser_classes": [FormParser],
    "versioning_class": Seventh,
}
SETTINGS = {"EXCEPTION_HANDLER": "builtins.print", "COMPACT_JSON": True}


@pytest.mark.parametrize("apps", [[], ["rest_framework"]])
def test_framework_settings_of_the_site_do_not_change_the_wire(
    client: Client, user: User, settings: Any, monkeypatch: pytest.MonkeyPatch, apps: list[str]
) -> None:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, *apps]
    for name, value in DEFAULTS.items():
        monkeypatch.setattr(APIView, name, value)  # APIView read the setting when it was imported.
    settings.REST_FRAMEWORK = SETTINGS

    session = client.post(
        f"{LOGIN}?format=html&version=9",
        b'{"email": "reader@example.com", "password": "correct horse"}',
        content_type="text/plain;charset=UTF-8",
        headers={"Accept": "text/html; version=9; indent=4"},
    )

    body = assert_session(session, user)  # type: ignore[arg-type]
    assert session.content.startswith(b'{"token": "')
    assert session["Content-Type"] == "application/json"
    assert client.get(ME, headers={"Authorization": f"Bearer {body['token']}"}).json() == body["user"]
    assert_refused(client.put(LOGIN), 405, "method not allowed")  # type: ignore[arg-type]
    assert_refused(post(client, LOGIN, b"{"), 400, "invalid JSON body")
    assert post(client, LOGOUT, {"refreshToken": body["refreshToken"]}).status_code == 204


class TestSimpleJWT:
    """Settings of REST framework apply as in the site's own views."""

    def test_claims_of_the_sites_serializer_are_in_each_token(
        self, client: Client, user: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api_settings, "TOKEN_OBTAIN_SERIALIZER", f"{__name__}.WithOrg")
        session = login(client).json()  # type: ignore[attr-defined]
        refreshed = post(client, REFRESH, {"refreshToken": session["refreshToken"]}).json()  # type: ignore[attr-defined]
        assert [AccessToken(each["token"])["org"] for each in (session, refreshed)] == ["acme", "acme"]

    def test_token_of_an_earlier_password_is_refused(
        self, client: Client, user: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api_settings, "CHECK_REVOKE_TOKEN", True)
        session = login(client).json()  # type: ignore[attr-defined]
        user.set_password("new horse")
        user.save()
        response = post(client, REFRESH, {"refreshToken": session["refreshToken"]})
        assert_refused(response, 401, "invalid or expired refresh token")
        response = client.get(ME, headers={"Authorization": f"Bearer {session['token']}"})  # type: ignore[assignment]
        assert_refused(response, 401, "missing or invalid authorization header")

    def test_rule_of_the_site_holds_for_login_and_refresh(
        self, client: Client, user: User, refresh_token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api_settings, "USER_AUTHENTICATION_RULE", lambda user: False)
        assert_refused(login(client), 401, WRONG)
        response = post(client, REFRESH, {"refreshToken": refresh_token})
        assert_refused(response, 401, "invalid or expired refresh token")

    def test_user_database_that_is_away_is_no_refusal(
        self, client: Client, user: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: Any) -> None:
            raise OperationalError("no answer")

        token = AccessToken.for_user(user)
        monkeypatch.setattr(JWTAuthentication, "get_user", away)
        response = client.get(ME, headers={"Authorization": f"Bearer {token}"})
        assert_refused(response, 503, "credentials cannot be checked now")  # type: ignore[arg-type]


class WithOrg(TokenObtainPairSerializer):
    """Adds a claim to each token."""

    @classmethod
    def get_token(cls, user: Any) -> Any:
        """Add the claim."""
        token = super().get_token(user)
        token["org"] = "acme"
        return token
