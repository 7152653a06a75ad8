"""Tokens, tables, methods and servers that the view refuses, and a database that is gone."""

from collections.abc import Callable
from datetime import timedelta
from runpy import run_path
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.base import BaseHandler
from django.db import connections
from django.test import AsyncClient, Client
from psycopg_pool import PoolTimeout
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from ayb_realtime import views
from ayb_realtime.hub.hub import Hub
from embedded import free_port
from tests.integration.views.conftest import BLANK_TABLES, INVALID, NO_TABLES, UNAUTHENTICATED, answer, stream_of


async def test_no_token_is_refused(get: Callable[..., Any]) -> None:
    assert answer(await get(tables="posts")) == UNAUTHENTICATED
    assert answer(await get(tables="posts", token="")) == UNAUTHENTICATED
    assert answer(await get({"Authorization": ""}, tables="posts")) == UNAUTHENTICATED
    assert answer(await get({"Authorization": "Basic eA=="}, tables="posts")) == UNAUTHENTICATED


@pytest.mark.parametrize(
    "malformed",
    ["x", "a.b.c", "..", "\0", "é", "🙂", "x" * 10_000, "null", " ", "\r\nX-Header: y", "eyJhbGciOiJub25lIn0.e30."],
)
async def test_malformed_token_is_refused(
    get: Callable[..., Any], malformed: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert answer(await get(tables="posts", token=malformed)) == INVALID
    assert "Traceback" not in caplog.text


async def test_token_is_not_logged(get: Callable[..., Any], token: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await get(tables="posts", token=token)
    await get(tables="nothing", token=token)
    await get(tables="posts", token=f"{token}x")
    assert caplog.records
    assert token not in caplog.text


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer x", "Bearer \xff"])
async def test_malformed_header_is_refused_whatever_the_parameter_says(
    get: Callable[..., Any], token: str, header: str
) -> None:
    assert answer(await get({"Authorization": header}, tables="posts", token=token)) == INVALID


async def test_header_wins_over_the_parameter(get: Callable[..., Any], token: str) -> None:
    stream = stream_of(await get({"Authorization": f"Bearer {token}"}, tables="posts", token="x"))
    assert (await stream.next()).event == "connected"


async def test_expired_token_is_refused(get: Callable[..., Any], user: Any) -> None:
    expired = AccessToken.for_user(user)
    expired.set_exp(lifetime=timedelta(seconds=-1))
    assert answer(await get(tables="posts", token=str(expired))) == INVALID


async def test_refresh_token_is_refused(get: Callable[..., Any], user: Any) -> None:
    refresh = await sync_to_async(RefreshToken.for_user)(user)
    assert answer(await get(tables="posts", token=str(refresh))) == INVALID


@pytest.mark.parametrize("claim", [("user_id", "no uuid"), ("user_id", None), ("user_id", {"a": 1}), ("exp", 10**18)])
async def test_signed_token_with_odd_claims_is_refused(
    get: Callable[..., Any], user: Any, claim: tuple[str, Any]
) -> None:
    odd = AccessToken.for_user(user)
    odd[claim[0]] = claim[1]
    assert answer(await get(tables="posts", token=str(odd))) == INVALID


async def test_inactive_or_deleted_user_is_refused(get: Callable[..., Any], user: Any, token: str) -> None:
    user.is_active = False
    await user.asave()
    assert answer(await get(tables="posts", token=token)) == INVALID
    await user.adelete()
    assert answer(await get(tables="posts", token=token)) == INVALID


async def test_tables_are_checked_after_the_token(get: Callable[..., Any], token: str) -> None:
    assert answer(await get()) == UNAUTHENTICATED
    assert answer(await get(token="x")) == INVALID
    assert answer(await get(token=token)) == NO_TABLES
    assert answer(await get(token=token, tables="")) == NO_TABLES
    assert answer(await get(token=token, tables=",")) == BLANK_TABLES
    assert answer(await get(token=token, tables=" , ,")) == BLANK_TABLES


async def test_snapshot_is_true_or_false(get: Callable[..., Any], token: str) -> None:
    refused = (400, {"code": 400, "message": "snapshot: true or false"})
    for given in ("1", "", "True"):
        assert answer(await get(token=token, tables="posts", snapshot=given)) == refused


async def test_form_that_cannot_be_is_refused(get: Callable[..., Any], token: str) -> None:
    for given in ("", "1", "Named"):
        assert answer(await get(token=token, tables="posts", events=given)) == (
            400,
            {"code": 400, "message": "events: named"},
        )
    assert answer(await get(token=token, tables="posts", fields="title, secret")) == (
        400,
        {"code": 400, "message": "fields: unknown column: secret"},
    )


async def test_filter_that_cannot_be_is_refused(get: Callable[..., Any], token: str) -> None:
    for given, message in {
        "published": "not column=operator.value: 'published'. A comma in a value is written \\,",
        "secret=eq.1": "unknown column: posts.secret",
        "id=eq.x": 'posts.id: invalid input syntax for type bigint: "x"',
    }.items():
        refused = (400, {"code": 400, "message": f"filter: {message}"})
        assert answer(await get(token=token, tables="posts", filter=given)) == refused


@pytest.mark.parametrize(
    "name",
    ["nothing", "users", "pg_class", 'po"sts', "posts;", "POSTS", "public.users", "'", "p\0sts", "\x01", "é" * 99],
)
async def test_table_that_is_not_streamed_is_unknown_whether_it_exists_or_not(
    get: Callable[..., Any], token: str, name: str
) -> None:
    unknown = (400, {"code": 400, "message": f"unknown table: {name}"})
    assert answer(await get(token=token, tables=f"posts,{name}")) == unknown


async def test_table_that_is_not_streamed_is_answered_with_those_that_are_while_debugging(
    get: Callable[..., Any], token: str, settings: Any
) -> None:
    settings.DEBUG = True
    _, body = answer(await get(token=token, tables="Post"))
    assert body["message"] == "unknown table: Post. Streamed are: comments, posts"


async def test_ten_thousand_table_names_are_answered(get: Callable[..., Any], token: str, settings: Any) -> None:
    settings.AYB_REALTIME = {"LIMITS": {"query_bytes": None, "tables": None}}
    names = ["posts", *(f"t{n}" for n in range(10_000))]
    assert answer(await get(token=token, tables=",".join(names)))[1]["message"] == "unknown table: t0"
    stream = stream_of(await get(token=token, tables=",".join(["posts"] * 10_000)))
    assert (await stream.next()).event == "connected"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_other_methods_are_refused(async_client: AsyncClient, transactional_db: None, method: str) -> None:
    response = await async_client.generic(method, "/api/realtime")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET")


def test_wsgi_is_refused(client: Client, token: str) -> None:
    response = client.get("/api/realtime", {"tables": "posts", "token": token})
    assert answer(response) == (500, {"code": 500, "message": "streaming not supported"})


def gone_from_django(patch: pytest.MonkeyPatch) -> None:
    """Point Django's own connections at a port where nothing listens."""
    patch.setitem(connections.settings["default"], "PORT", free_port())


def gone_from_the_hub(patch: pytest.MonkeyPatch) -> None:
    """Make the hub's connections fail."""
    patch.setattr(Hub, "subscribe", failing(PoolTimeout("none in time")))


def without_its_schema(patch: pytest.MonkeyPatch) -> None:
    """Hide the package's tables from the hub: ``migrate`` has not run, or a dump is being restored."""
    patch.setattr(Hub, "subscribe", failing(psycopg.errors.InvalidSchemaName("there is none")))


def gone_from_the_users(patch: pytest.MonkeyPatch) -> None:
    """Make the look-up of users fail."""
    patch.setattr(JWTAuthentication, "get_user", failing(ConnectionResetError("the directory is gone")))


def failing(error: Exception) -> Callable[..., Any]:
    """Return a function that raises this."""

    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("gone", [gone_from_django, gone_from_the_hub, without_its_schema, gone_from_the_users])
async def test_lost_database_is_reported_and_a_browser_reconnects(
    get: Callable[..., Any], token: str, gone: Callable[[pytest.MonkeyPatch], None]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        gone(patch)
        refusal = await get(tables="posts", token=token)
        response = await get({"Accept": "text/event-stream"}, tables="posts", token=token)
    assert answer(refusal) == (503, {"code": 503, "message": "database unavailable"})
    # An EventSource gives up on any other status. Source: WHATWG HTML, "Server-sent events", processing model.
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/event-stream")
    field, milliseconds = response.content.decode().split(": ")
    assert field == "retry"
    assert 2000 <= int(milliseconds) <= 4000


def test_atomic_requests_of_any_database_leave_the_view_alone(
    monkeypatch: pytest.MonkeyPatch, another_database: dict[str, Any]
) -> None:
    another_database["ATOMIC_REQUESTS"] = True
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    # The view as imported in a project with these settings.
    view = run_path(views.__file__)["realtime"]
    assert BaseHandler().make_view_atomic(view) is view
