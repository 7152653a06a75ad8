"""While the users' database or the server of the signing keys is away, no account's credentials are called invalid."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import ProgrammingError, connection
from django.http import HttpResponse
from django.test import Client
from jwt import PyJWKClient
from rest_framework_simplejwt.state import token_backend
from rest_framework_simplejwt.tokens import AccessToken

from embedded import free_port
from example_project.blog.models import User
from tests.integration.accounts.conftest import LOGOUT, ME, REFRESH, login, post
from tests.integration.scenario import Owner

pytestmark = pytest.mark.django_db(transaction=True)

Call = Callable[[Client], Any]
NAMES = ["refresh", "logout", "me"]


@pytest.fixture
def calls(user: User, refresh_token: str) -> dict[str, Call]:
    """Requests that succeed while nothing is away."""
    access_token = str(AccessToken.for_user(user))
    return {
        "login": login,
        "refresh": lambda client: post(client, REFRESH, {"refreshToken": refresh_token}),
        "logout": lambda client: post(client, LOGOUT, {"refreshToken": refresh_token}),
        "me": lambda client: client.get(ME, headers={"Authorization": f"Bearer {access_token}"}),
    }


def assert_unavailable(response: HttpResponse, caplog: pytest.LogCaptureFixture) -> None:
    body = {"code": 503, "message": "credentials cannot be checked now"}
    assert (response.status_code, json.loads(response.content)) == (503, body)
    assert response["Retry-After"] == "2"
    (line,) = [record.message for record in caplog.records if record.name == "ayb_realtime.accounts.json_api"]
    assert line.startswith("credentials cannot be checked now: ")


@pytest.mark.parametrize("name", ["login", *NAMES])
def test_database_that_is_away_is_no_refusal(
    client: Client, calls: dict[str, Call], owner: Owner, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    connection.ensure_connection()
    owner.execute("select pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
    assert_unavailable(calls[name](client), caplog)


@pytest.mark.parametrize("name", ["login", *NAMES])
def test_database_that_is_away_is_no_refusal_where_requests_are_atomic(
    client: Client, calls: dict[str, Call], caplog: pytest.LogCaptureFixture, name: str
) -> None:
    reachable = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(ATOMIC_REQUESTS=True, HOST="127.0.0.1", PORT=str(free_port()))
    try:
        assert_unavailable(calls[name](client), caplog)
    finally:
        connection.settings_dict.update(reachable)


def test_error_of_the_site_is_no_outage(client: Client, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ProgrammingError("column users.nickname does not exist")

    monkeypatch.setattr(User, "get_username", fail)
    with pytest.raises(ProgrammingError, match="nickname"):
        login(client)


@pytest.mark.parametrize("name", NAMES)
def test_key_server_that_is_away_is_no_refusal(
    client: Client,
    calls: dict[str, Call],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(token_backend, "algorithm", "RS256")
        patch.setattr(token_backend, "jwks_client", PyJWKClient(f"http://127.0.0.1:{free_port()}/"))
        assert_unavailable(calls[name](client), caplog)
    assert calls[name](client).status_code in {200, 204}
