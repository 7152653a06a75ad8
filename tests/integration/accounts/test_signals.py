"""A login sends Django's signals, as one by a page does."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import user_logged_in, user_login_failed
from django.http import HttpRequest
from django.test import Client

from example_project.blog.models import User
from tests.integration.accounts.conftest import login

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent() -> Iterator[list[dict[str, Any]]]:
    """What the signals say."""
    said: list[dict[str, Any]] = []

    def hear(**given: Any) -> None:
        said.append(given)

    for signal in (user_logged_in, user_login_failed):
        signal.connect(hear)
    yield said
    for signal in (user_logged_in, user_login_failed):
        signal.disconnect(hear)


def test_login_is_told_and_dated(client: Client, user: User, sent: list[dict[str, Any]]) -> None:
    login(client)
    (said,) = sent
    assert (said["signal"], said["sender"], said["user"]) == (user_logged_in, User, user)
    assert isinstance(said["request"], HttpRequest)
    assert User.objects.get().last_login is not None


@pytest.mark.parametrize("email", ["reader@example.com", "nobody@example.com", "", "\0"])
def test_failed_login_is_told_without_the_password(
    client: Client, user: User, sent: list[dict[str, Any]], email: str
) -> None:
    login(client, email, "wrong")
    (said,) = sent
    assert (said["signal"], said["sender"]) == (user_login_failed, "django.contrib.auth")
    assert said["credentials"][User.USERNAME_FIELD] == email
    assert "wrong" not in said["credentials"].values()
    assert said["request"].META["REMOTE_ADDR"] == "127.0.0.1"
    assert User.objects.get().last_login is None


def test_failed_login_of_an_inactive_user_is_told(client: Client, user: User, sent: list[dict[str, Any]]) -> None:
    User.objects.update(is_active=False)
    login(client)
    assert [said["signal"] for said in sent] == [user_login_failed]
