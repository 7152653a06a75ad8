"""``/api/auth/me``."""

import json

import pytest
from django.http import HttpResponse
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from example_project.blog.models import User
from tests.integration.accounts.conftest import ME, ODD_TEXTS, assert_refused, login

pytestmark = pytest.mark.django_db


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
