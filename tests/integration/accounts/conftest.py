"""Fixtures of the tests of the accounts: a user, requests, and the expected answers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client, override_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from example_project.blog.models import User

LOGIN, REFRESH, LOGOUT, ME = (f"/api/auth/{name}" for name in ("login", "refresh", "logout", "me"))


HUGE = "x" * 100_000


ODD_TEXTS = ("", " ", "x", "a.b.c", "\0", "\r\n", "é", "🦆", HUGE, "." * 1000, "e30.e30.", "Bearer x")


@pytest.fixture(autouse=True)
def quick_hashes() -> Iterator[None]:
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(autouse=True)
def fresh_throttles() -> None:
    """Clear the login throttle's counts between tests."""
    cache.clear()


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
