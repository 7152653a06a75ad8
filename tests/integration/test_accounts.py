"""The accounts endpoints answer as the wire protocol says, to odd input too."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection, connections
from django.http import HttpResponse
from django.test import Client, override_settings
from psycopg import IsolationLevel
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from example_project.blog.models import User

pytestmark = pytest.mark.django_db

LOGIN, REFRESH, LOGOUT, ME = (f"/api/auth/{name}" for name in ("login", "refresh", "logout", "me"))
HUGE = "x" * 100_000
ODD_TEXTS = ("", " ", "x", "a.b.c", "\0", "\r\n", "é", "🦆", HUGE, "." * 1000, "e30.e30.", "Bearer x")


@pytest.fixture(autouse=True)
def quick_hashes() -> Iterator[None]:
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture
def user() -> User:
    return User.objects.create_user("reader@example.com", "correct horse")


@pytest.fixture
def refresh_token(user: User) -> str:
    return str(RefreshToken.for_user(user))


def post(client: Client, path: str, body: Any) -> HttpResponse:
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    return client.post(path, data, content_type="application/json")  # type: ignore[return-value]


def login(client: Client, email: Any = "reader@example.com", password: Any = "correct horse") -> HttpResponse:
    return post(client, LOGIN, {"email": email, "password": password})


def assert_refused(response: HttpResponse, code: int, message: str) -> None:
    assert (response.status_code, json.loads(response.content)) == (code, {"code": code, "message": message})
    assert response["Content-Type"] == "application/json"


def assert_session(response: HttpResponse, user: User) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(response.content)
    assert response.status_code == 200
    assert list(body) == ["token", "refreshToken", "user"]
    assert AccessToken(body["token"])["user_id"] == str(user.pk)
    assert RefreshToken(body["refreshToken"])["user_id"] == str(user.pk)
    assert body["user"]["email"] == "reader@example.com"
    return body


def test_login_answers_tokens_and_user(client: Client, user: User) -> None:
    body = assert_session(login(client), user)

    assert body["user"] == {
        "id": str(user.pk),
        "email": user.email,
        "createdAt": user.date_joined.isoformat().replace("+00:00", "Z"),
        "updatedAt": user.updated_at.isoformat().replace("+00:00", "Z"),
    }
    assert body["user"]["createdAt"].endswith("Z")


def test_login_ignores_the_case_of_the_email(client: Client, user: User) -> None:
    assert_session(login(client, email="READER@Example.com"), user)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("reader@example.com", "wrong"),
        ("reader@example.com", ""),
        ("reader@example.com", None),
        ("reader@example.com", "correct horse\0"),
        ("reader@example.com", HUGE),
        ("nobody@example.com", "correct horse"),
        ("reader@example.co_", "correct horse"),
        ("%", "correct horse"),
        ("", "correct horse"),
        (None, "correct horse"),
        ("reader@example.com\0", "correct horse"),
        ("\0", "\0"),
        (HUGE, "correct horse"),
    ],
)
@pytest.mark.usefixtures("user")
def test_wrong_credentials_are_refused(client: Client, email: Any, password: Any) -> None:
    assert_refused(login(client, email, password), 401, "invalid email or password")


@pytest.mark.usefixtures("user")
def test_login_without_fields_is_refused(client: Client) -> None:
    assert_refused(post(client, LOGIN, {}), 401, "invalid email or password")


def test_login_of_an_inactive_user_is_refused(client: Client, user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)

    assert_refused(login(client), 401, "invalid email or password")


def test_login_with_an_email_of_two_users_is_refused(client: Client, user: User) -> None:
    User.objects.create(email=user.email.upper(), password=user.password)

    assert_refused(login(client), 401, "invalid email or password")


@pytest.mark.parametrize("email", ["reader@example.com", "nobody@example.com", "", "\0"])
@pytest.mark.usefixtures("user")
def test_every_failed_login_hashes_once(client: Client, email: str) -> None:
    with patch.object(MD5PasswordHasher, "encode", autospec=True, side_effect=MD5PasswordHasher.encode) as encode:
        login(client, email, "wrong")

    assert encode.call_count == 1


def test_login_authenticates_by_the_natural_username(client: Client) -> None:
    asked: dict[str, str] = {}
    account = get_user_model()(email="reader@example.com")
    with (
        patch.object(User, "get_username", return_value="reader"),
        patch("ayb_realtime.accounts.views._user_by_email", return_value=account),
        patch("ayb_realtime.accounts.views.authenticate", lambda request, **credentials: asked.update(credentials)),
    ):
        login(client)

    assert asked == {"username": "reader", "password": "correct horse"}


@pytest.mark.parametrize("path", [LOGIN, REFRESH, LOGOUT])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"1",
        b'"text"',
        b"[]",
        b"\xff\xfe\xfa",
        b'{"email": "\xff"}',
        b"\0",
        b"[" * 100_000,
        b"9" * 100_000,
        b" " * 3_000_000,
        b'{"email": 5, "refreshToken": 5}',
        b'{"email": [], "refreshToken": {}}',
        b'{"email": true, "refreshToken": true}',
        rb'{"email": "\ud800", "refreshToken": "\udfff"}',
        rb'{"email": "reader@example.com", "password": "\ud800", "refreshToken": "\ud800"}',
    ],
    ids=lambda body: repr(body[:30]),
)
@pytest.mark.usefixtures("user")
def test_malformed_body_is_refused(client: Client, path: str, body: bytes) -> None:
    assert_refused(post(client, path, body), 400, "invalid JSON body")


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        *((path, method, "POST") for path in (LOGIN, REFRESH, LOGOUT) for method in ("GET", "HEAD", "PUT", "DELETE")),
        *((ME, method, "GET") for method in ("POST", "HEAD", "PATCH", "OPTIONS")),
    ],
)
def test_other_methods_are_refused(client: Client, path: str, method: str, allowed: str) -> None:
    response = client.generic(method, path)

    assert (response.status_code, response["Allow"]) == (405, allowed)
    if method != "HEAD":
        assert json.loads(response.content) == {"code": 405, "message": "method not allowed"}


def test_refresh_answers_a_new_session(client: Client, user: User, refresh_token: str) -> None:
    body = assert_session(post(client, REFRESH, {"refreshToken": refresh_token}), user)

    assert body["refreshToken"] != refresh_token


@pytest.mark.usefixtures("user")
def test_refresh_token_works_once(client: Client, refresh_token: str) -> None:
    post(client, REFRESH, {"refreshToken": refresh_token})

    assert_refused(post(client, REFRESH, {"refreshToken": refresh_token}), 401, "invalid or expired refresh token")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("user")
def test_refresh_token_works_once_under_concurrency(refresh_token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start = Barrier(4)
    # A site that is serializable has to try again.
    committed = {"isolation_level": IsolationLevel.READ_COMMITTED}
    monkeypatch.setitem(connections.settings["default"], "OPTIONS", committed)

    def refresh(_: int) -> int:
        start.wait()
        try:
            return post(Client(), REFRESH, {"refreshToken": refresh_token}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(refresh, range(4))) == [200, 401, 401, 401]


def test_refreshed_token_works(client: Client, user: User, refresh_token: str) -> None:
    first = json.loads(post(client, REFRESH, {"refreshToken": refresh_token}).content)

    assert_session(post(client, REFRESH, {"refreshToken": first["refreshToken"]}), user)


@pytest.mark.parametrize("path", [REFRESH, LOGOUT])
@pytest.mark.parametrize("body", [{}, {"refreshToken": ""}, {"refreshToken": None}])
def test_missing_refresh_token_is_refused(client: Client, path: str, body: dict[str, Any]) -> None:
    assert_refused(post(client, path, body), 400, "refreshToken is required")


@pytest.mark.parametrize("token", ODD_TEXTS[1:])
def test_odd_refresh_token_is_refused(client: Client, token: str) -> None:
    assert_refused(post(client, REFRESH, {"refreshToken": token}), 401, "invalid or expired refresh token")


def expired(user: User) -> str:
    token = RefreshToken.for_user(user)
    token.set_exp(lifetime=-timedelta(seconds=1))
    return str(token)


def with_claim(name: str, value: Any) -> Any:
    def make(user: User) -> str:
        token = RefreshToken.for_user(user)
        token[name] = value
        return str(token)

    return make


def without_claim(name: str) -> Any:
    def make(user: User) -> str:
        token = RefreshToken.for_user(user)
        del token[name]
        return str(token)

    return make


BAD_REFRESH_TOKENS = {
    "access token": lambda user: str(AccessToken.for_user(user)),
    "expired": expired,
    "no exp": without_claim("exp"),
    "no jti": without_claim("jti"),
    "no type": without_claim("token_type"),
    "no user": without_claim("user_id"),
    "user is null": with_claim("user_id", None),
    "user is a list": with_claim("user_id", [1]),
    "user is no key": with_claim("user_id", "x\0"),
    "user is unknown": with_claim("user_id", "00000000-0000-4000-8000-000000000000"),
    "exp is beyond the calendar": with_claim("exp", 10**18),
    "exp is a text": with_claim("exp", "soon"),
    "jti holds NUL": with_claim("jti", "\0"),
    "other key": lambda user: str(RefreshToken.for_user(user)).rpartition(".")[0] + ".AAAA",
}


@pytest.mark.parametrize("make", BAD_REFRESH_TOKENS.values(), ids=BAD_REFRESH_TOKENS)
def test_bad_refresh_token_is_refused(client: Client, user: User, make: Any) -> None:
    assert_refused(post(client, REFRESH, {"refreshToken": make(user)}), 401, "invalid or expired refresh token")


@pytest.mark.parametrize("make", BAD_REFRESH_TOKENS.values(), ids=BAD_REFRESH_TOKENS)
def test_logout_with_a_worthless_token_succeeds(client: Client, user: User, make: Any) -> None:
    assert post(client, LOGOUT, {"refreshToken": make(user)}).status_code == 204


def test_refresh_of_an_inactive_user_is_refused(client: Client, user: User, refresh_token: str) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)

    assert_refused(post(client, REFRESH, {"refreshToken": refresh_token}), 401, "invalid or expired refresh token")


def test_refresh_of_a_deleted_user_is_refused(client: Client, user: User, refresh_token: str) -> None:
    user.delete()

    assert_refused(post(client, REFRESH, {"refreshToken": refresh_token}), 401, "invalid or expired refresh token")


def test_logout_revokes_the_refresh_token(client: Client, refresh_token: str) -> None:
    response = post(client, LOGOUT, {"refreshToken": refresh_token})

    assert (response.status_code, response.content) == (204, b"")
    assert_refused(post(client, REFRESH, {"refreshToken": refresh_token}), 401, "invalid or expired refresh token")


def test_logout_twice_succeeds(client: Client, refresh_token: str) -> None:
    post(client, LOGOUT, {"refreshToken": refresh_token})

    assert post(client, LOGOUT, {"refreshToken": refresh_token}).status_code == 204


def test_without_the_blacklist_refresh_still_answers(client: Client, user: User, refresh_token: str) -> None:
    with patch("ayb_realtime.accounts.tokens.apps.is_installed", return_value=False):
        assert_session(post(client, REFRESH, {"refreshToken": refresh_token}), user)
        assert post(client, LOGOUT, {"refreshToken": refresh_token}).status_code == 204


def me(client: Client, header: str) -> HttpResponse:
    return client.get(ME, headers={"Authorization": header})  # type: ignore[return-value]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_me_answers_the_user(client: Client, user: User, scheme: str) -> None:
    response = me(client, f"{scheme} {AccessToken.for_user(user)}")

    assert response.status_code == 200
    assert json.loads(response.content) == json.loads(login(client).content)["user"]


def test_me_without_header_is_refused(client: Client) -> None:
    assert_refused(client.get(ME), 401, "missing or invalid authorization header")  # type: ignore[arg-type]


@pytest.mark.parametrize("token", ODD_TEXTS)
def test_me_with_an_odd_token_is_refused(client: Client, token: str) -> None:
    assert_refused(me(client, f"Bearer {token}"), 401, "missing or invalid authorization header")


def test_me_with_another_scheme_is_refused(client: Client, user: User) -> None:
    assert_refused(me(client, f"Basic {AccessToken.for_user(user)}"), 401, "missing or invalid authorization header")


def test_me_ignores_a_token_in_the_query(client: Client, user: User) -> None:
    response = client.get(ME, {"token": str(AccessToken.for_user(user))})

    assert_refused(response, 401, "missing or invalid authorization header")  # type: ignore[arg-type]


@pytest.mark.usefixtures("user")
def test_me_with_a_refresh_token_is_refused(client: Client, refresh_token: str) -> None:
    assert_refused(me(client, f"Bearer {refresh_token}"), 401, "missing or invalid authorization header")


def test_me_of_an_inactive_user_is_refused(client: Client, user: User) -> None:
    token = AccessToken.for_user(user)
    User.objects.filter(pk=user.pk).update(is_active=False)

    assert_refused(me(client, f"Bearer {token}"), 401, "missing or invalid authorization header")


def test_me_of_a_deleted_user_is_refused(client: Client, user: User) -> None:
    token = AccessToken.for_user(user)
    user.delete()

    assert_refused(me(client, f"Bearer {token}"), 401, "missing or invalid authorization header")
