"""Logging in with an email that several users have."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import Client

from ayb_realtime.accounts.views import SHARED_BY
from example_project.blog.models import User
from tests.integration.accounts.conftest import assert_refused, assert_session, login

pytestmark = pytest.mark.django_db


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user model whose emails are not unique, like Django's own."""
    monkeypatch.setattr(type(User._meta.get_field("email")), "unique", property(lambda _: False))


def sharing(user: User, email: str, password: str, *, days: int = 1) -> User:
    """Create a user with this email and the largest key, who joined this many days after the other."""
    other = User.objects.create_user(email, password, id=UUID(int=2**128 - 1))
    User.objects.filter(pk=other.pk).update(date_joined=user.date_joined + timedelta(days))
    return other


def logged_in(client: Client, password: str) -> Any:
    return login(client, password=password).json()["user"]["id"]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("shared")
def test_password_says_which_user_logs_in(client: Client, user: User, caplog: pytest.LogCaptureFixture) -> None:
    other = sharing(user, "READER@example.com", "other horse")

    assert logged_in(client, "correct horse") == str(user.pk)
    assert logged_in(client, "other horse") == str(other.pk)
    assert_refused(login(client, password="wrong"), 401, "invalid email or password")
    assert "shares an email" in caplog.text
    assert user.email not in caplog.text


@pytest.mark.parametrize("days", [1, -1])
@pytest.mark.usefixtures("shared")
def test_oldest_user_logs_in_where_the_password_fits_several(client: Client, user: User, days: int) -> None:
    other = sharing(user, "READER@example.com", "correct horse", days=days)

    assert logged_in(client, "correct horse") == str((user if days > 0 else other).pk)


@pytest.mark.usefixtures("shared")
def test_inactive_user_does_not_hide_another_of_the_email(client: Client, user: User) -> None:
    other = sharing(user, "READER@example.com", "correct horse")
    User.objects.filter(pk=user.pk).update(is_active=False)

    assert logged_in(client, "correct horse") == str(other.pk)


def test_email_that_differs_in_case_alone_is_the_oldest_users(client: Client, user: User) -> None:
    sharing(user, "READER@example.com", "other horse")

    assert_session(login(client), user)
    assert_refused(login(client, password="other horse"), 401, "invalid email or password")


@pytest.mark.parametrize("users", [0, 1, 2, 5])
@pytest.mark.usefixtures("shared")
def test_every_failed_login_hashes_as_often(client: Client, users: int) -> None:
    for case in range(users):
        User.objects.create_user(f"{'reader'[:case]}{'reader'[case:].upper()}@example.com", "correct horse")
    with patch.object(MD5PasswordHasher, "encode", autospec=True, side_effect=MD5PasswordHasher.encode) as encode:
        login(client, password="wrong")

    assert encode.call_count == SHARED_BY
