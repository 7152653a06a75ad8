"""Logging in."""

import json
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import Client

from example_project.blog.models import User
from tests.integration.accounts.conftest import (
    HUGE,
    LOGIN,
    LOGOUT,
    ME,
    REFRESH,
    assert_refused,
    assert_session,
    login,
    post,
)

pytestmark = pytest.mark.django_db


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


@pytest.mark.parametrize("email", ["reader@example.com", "nobody@example.com", "", "\0"])
@pytest.mark.usefixtures("user")
def test_every_failed_login_hashes_once(client: Client, email: str) -> None:
    with patch.object(MD5PasswordHasher, "encode", autospec=True, side_effect=MD5PasswordHasher.encode) as encode:
        login(client, email, "wrong")

    assert encode.call_count == 1


def test_login_authenticates_by_the_natural_username(client: Client, user: User) -> None:
    asked: list[dict[str, Any]] = []
    with (
        patch.object(User, "get_username", return_value="reader"),
        patch("rest_framework_simplejwt.serializers.authenticate", lambda **credentials: asked.append(credentials)),
    ):
        login(client)

    [credentials] = asked
    assert (credentials["email"], credentials["password"]) == ("reader", "correct horse")


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
