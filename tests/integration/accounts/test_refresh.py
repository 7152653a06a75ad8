"""Refreshing a session, and logging out."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.utils import timezone
from psycopg import IsolationLevel
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken
from rest_framework_simplejwt.tokens import AccessToken, BlacklistMixin, RefreshToken

from ayb_realtime.accounts.rotation import GRACE
from example_project.blog.models import User
from tests.integration.accounts.conftest import (
    LOGOUT,
    ODD_TEXTS,
    REFRESH,
    assert_refused,
    assert_session,
    login,
    post,
)

pytestmark = pytest.mark.django_db


def test_refresh_answers_a_new_session(client: Client, user: User, refresh_token: str) -> None:
    body = assert_session(post(client, REFRESH, {"refreshToken": refresh_token}), user)

    assert body["refreshToken"] != refresh_token


@pytest.mark.usefixtures("user")
def test_refresh_token_works_once(client: Client, refresh_token: str) -> None:
    post(client, REFRESH, {"refreshToken": refresh_token})
    BlacklistedToken.objects.update(blacklisted_at=timezone.now() - GRACE)

    assert_refused(post(client, REFRESH, {"refreshToken": refresh_token}), 401, "invalid or expired refresh token")


def test_refresh_token_gives_the_same_one_again_for_some_seconds(
    client: Client, user: User, refresh_token: str
) -> None:
    first, again = (assert_session(post(client, REFRESH, {"refreshToken": refresh_token}), user) for _ in range(2))
    assert again["refreshToken"] == first["refreshToken"]
    claims = [AccessToken(each["token"]).payload for each in (first, again)]
    assert claims[0].keys() == claims[1].keys()
    assert claims[0]["ayb_chain"] == claims[1]["ayb_chain"]


def test_thief_who_uses_a_token_within_the_grace_is_found_out_by_the_next_use(
    client: Client, user: User, refresh_token: str
) -> None:
    stolen = assert_session(post(client, REFRESH, {"refreshToken": refresh_token}), user)["refreshToken"]
    own = assert_session(post(client, REFRESH, {"refreshToken": refresh_token}), user)["refreshToken"]
    last = assert_session(post(client, REFRESH, {"refreshToken": own}), user)["refreshToken"]
    BlacklistedToken.objects.update(blacklisted_at=timezone.now() - GRACE)
    for each in (stolen, last):
        assert_refused(post(client, REFRESH, {"refreshToken": each}), 401, "invalid or expired refresh token")


@pytest.mark.parametrize("change", [{"is_active": False}, {}])
def test_used_refresh_token_gives_nothing_after_a_logout_or_a_ban(
    client: Client, user: User, refresh_token: str, change: dict[str, Any]
) -> None:
    first = assert_session(post(client, REFRESH, {"refreshToken": refresh_token}), user)
    if change:
        User.objects.filter(pk=user.pk).update(**change)
    else:
        post(client, LOGOUT, {"refreshToken": first["refreshToken"]})
    assert_refused(post(client, REFRESH, {"refreshToken": refresh_token}), 401, "invalid or expired refresh token")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("user")
def test_refresh_token_is_replaced_once_under_concurrency(refresh_token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start = Barrier(4)
    # With the isolation level "serializable", a site must retry.
    committed = {"isolation_level": IsolationLevel.READ_COMMITTED}
    monkeypatch.setitem(connections.settings["default"], "OPTIONS", committed)

    def refresh(_: int) -> str:
        start.wait()
        try:
            answer = post(Client(), REFRESH, {"refreshToken": refresh_token})
            return str(json.loads(answer.content)["refreshToken"])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(refresh, range(4)))) == 1


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


def test_without_the_blacklist_refresh_still_answers(
    client: Client, user: User, refresh_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(BlacklistMixin, "blacklist")
    assert_session(post(client, REFRESH, {"refreshToken": refresh_token}), user)
    assert post(client, LOGOUT, {"refreshToken": refresh_token}).status_code == 204


def test_reports_of_a_request_show_no_password_and_no_refresh_token(client: Client, refresh_token: str) -> None:
    # What reads the body after the view, as Sentry does.
    refreshed = post(client, REFRESH, {"refreshToken": refresh_token, "device": "phone"})
    refused = login(client, password="the password")
    shown = [json.loads(response.wsgi_request.body) for response in (refreshed, refused)]  # type: ignore[attr-defined]
    assert shown == [{"refreshToken": "***", "device": "phone"}, {"email": "reader@example.com", "password": "***"}]


def fails(user: User) -> bool:
    raise RuntimeError(user.email)


def test_frames_of_a_failure_hold_no_refresh_token(
    client: Client, refresh_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ayb_realtime.accounts.rotation.api_settings.USER_AUTHENTICATION_RULE", fails)
    with pytest.raises(RuntimeError) as raised:
        post(client, REFRESH, {"refreshToken": refresh_token})
    ours = [entry.frame for entry in raised.traceback if "/ayb_realtime/" in str(entry.path)]
    assert len(ours) > 2
    assert refresh_token not in repr([frame.f_locals for frame in ours])
