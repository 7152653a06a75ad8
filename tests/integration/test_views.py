"""``GET /api/realtime``: its answers, its headers, its first and its last events."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from runpy import run_path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from channels.layers import BaseChannelLayer
from django.contrib.auth import get_user_model
from django.core.handlers.base import BaseHandler
from django.db import connections
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncClient, Client
from psycopg_pool import PoolTimeout
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from ayb_realtime import views
from ayb_realtime.hub.hub import Hub
from ayb_realtime.identity import Identity, default_identity
from embedded import free_port
from tests.integration.scenario import MakeTable, Owner, Stream, relaying

User = get_user_model()

UNAUTHENTICATED = (401, {"code": 401, "message": "authentication required"})
INVALID = (401, {"code": 401, "message": "invalid or expired token"})
NO_TABLES = (400, {"code": 400, "message": "tables parameter is required"})
BLANK_TABLES = (400, {"code": 400, "message": "at least one valid table is required"})


@pytest.fixture
def user(transactional_db: None) -> Any:
    """Somebody with an account."""
    return User.objects.create(email="somebody@example.com")


@pytest.fixture
def token(user: Any) -> str:
    """An access token of the user."""
    return str(AccessToken.for_user(user))


@pytest_asyncio.fixture
async def get(the_hub: Hub, async_client: AsyncClient) -> AsyncIterator[Callable[..., Any]]:
    """Make requests; afterwards close what they opened, as Django does once a client has gone."""
    responses: list[HttpResponseBase] = []

    async def request(headers: dict[str, str] | None = None, **parameters: str) -> HttpResponseBase:
        response = await async_client.get("/api/realtime", parameters, headers=headers or {})
        responses.append(response)
        return response

    yield request
    for response in responses:
        await sync_to_async(response.close)()


def answer(response: Any) -> tuple[int, Any]:
    """Return the status and the body of an answer that is no stream."""
    assert response.headers["Content-Type"] == "application/json"
    return response.status_code, response.json()


def stream_of(response: Any) -> Stream:
    """Read an answer that is a stream."""
    assert response.status_code == 200, response.content
    assert isinstance(response, StreamingHttpResponse)
    return Stream(response.streaming_content)


async def test_replays_wait_for_a_request_from_when_it_has_come_until_its_stream_is_open(
    get: Callable[..., Any], the_hub: Hub, settings: Any, token: str
) -> None:
    opening: list[int] = []

    def identity(user: Any, claims: Any) -> Identity:
        opening.append(the_hub._replay._opening)
        return default_identity(user, claims)

    settings.AYB_REALTIME = {"IDENTITY": identity}
    stream_of(await get(tables="posts", token=token))
    assert (opening, the_hub._replay._opening) == ([1], 0)
    await get(tables="posts", token="none")
    assert the_hub._replay._opening == 0


async def test_stream_has_its_headers_and_first_bytes(get: Callable[..., Any], the_hub: Hub, token: str) -> None:
    response = await get(tables="posts", token=token)
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-cache, no-transform"
    assert response.headers["X-Accel-Buffering"] == "no"
    first = (await anext(aiter(response.streaming_content))).decode()
    client_id = next(iter(the_hub.subscribers)).client_id
    position = the_hub.position
    assert first == f'retry: 2000\nid: {position}\nevent: connected\ndata: {{"clientId":"{client_id}"}}\n\n'


async def test_change_after_connected_arrives(
    memory_layer: BaseChannelLayer, get: Callable[..., Any], owner: Owner, make_table: MakeTable, token: str
) -> None:
    make_table("notes", "id int primary key, at timestamptz, body text")
    async with relaying(memory_layer):
        stream = stream_of(await get(tables=" notes ,,notes,", token=token))
        assert (await stream.next()).event == "connected"
        owner.execute("insert into notes values (42, '2026-02-07 23:00+01', 'at 2026-02-07T22:00:00+00:00')")
        event = await stream.next()
    record = '{"id":42,"at":"2026-02-07T22:00:00Z","body":"at 2026-02-07T22:00:00+00:00"}'
    assert event.data == f'{{"action":"create","table":"notes","record":{record}}}'


async def test_last_event_id_resumes(
    memory_layer: BaseChannelLayer, get: Callable[..., Any], owner: Owner, make_table: MakeTable, token: str
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        first = stream_of(await get(tables="notes", token=token))
        await first.next()
        for row_id in (1, 2, 3):
            owner.execute("insert into notes values (%s)", [row_id])
        events = [await first.next() for _ in range(3)]
        by_header = stream_of(await get({"Last-Event-ID": events[0].id}, tables="notes", token=token))
        by_parameter = stream_of(await get(tables="notes", token=token, last_event_id=events[1].id))
        connected = await by_header.next()
        assert (connected.event, connected.id) == ("connected", events[0].id)
        assert [(await by_header.next()).id for _ in range(2)] == [events[1].id, events[2].id]
        assert (await by_parameter.next()).event == "connected"
        assert (await by_parameter.next()).id == events[2].id


@pytest.mark.parametrize(
    "last_event_id", ["x", "-1", "1.5", "\u0663", "9" * 18, "9" * 19, "9" * 1000, " ", "0x10", "é"]
)
async def test_impossible_last_event_id_resets_and_the_stream_goes_on(
    memory_layer: BaseChannelLayer,
    get: Callable[..., Any],
    owner: Owner,
    make_table: MakeTable,
    token: str,
    last_event_id: str,
) -> None:
    make_table("notes", "id int primary key")
    async with relaying(memory_layer):
        stream = stream_of(await get(tables="notes", token=token, last_event_id=last_event_id))
        connected, reset = await stream.next(), await stream.next()
        assert (connected.event, reset.event, reset.id) == ("connected", "reset", connected.id)
        assert reset.json()["tables"] == ["notes"]
        assert reset.json()["reason"]
        owner.execute("insert into notes values (1)")
        assert (await stream.next_change())["record"] == {"id": 1}


async def test_no_token_is_refused(get: Callable[..., Any]) -> None:
    assert answer(await get(tables="posts")) == UNAUTHENTICATED
    assert answer(await get(tables="posts", token="")) == UNAUTHENTICATED
    assert answer(await get({"Authorization": ""}, tables="posts")) == UNAUTHENTICATED
    assert answer(await get({"Authorization": "Basic eA=="}, tables="posts")) == UNAUTHENTICATED


@pytest.mark.parametrize(
    "malformed",
    ["x", "a.b.c", "..", "\0", "é", "🙂", "x" * 100_000, "null", " ", "\r\nX-Header: y", "eyJhbGciOiJub25lIn0.e30."],
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


@pytest.mark.parametrize(
    "name",
    ["nothing", "users", "pg_class", 'po"sts', "posts;", "POSTS", "public.posts", "'", "p\0sts", "\x01", "é" * 99],
)
async def test_table_that_is_not_streamed_is_unknown_whether_it_exists_or_not(
    get: Callable[..., Any], token: str, name: str
) -> None:
    unknown = (400, {"code": 400, "message": f"unknown table: {name}"})
    assert answer(await get(token=token, tables=f"posts,{name}")) == unknown


async def test_ten_thousand_table_names_are_answered(get: Callable[..., Any], token: str) -> None:
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


async def test_anonymous_stream_where_it_is_allowed_sees_what_its_role_may(
    memory_layer: BaseChannelLayer,
    get: Callable[..., Any],
    owner: Owner,
    make_table: MakeTable,
    settings: Any,
) -> None:
    settings.AYB_REALTIME = {"ANONYMOUS": True}
    make_table("notes", "id int primary key, public boolean", policy="public or current_user <> 'ayb_anonymous'")
    owner.execute("grant select on notes to ayb_anonymous")
    async with relaying(memory_layer):
        stream = stream_of(await get(tables="notes"))
        await stream.next()
        owner.execute("insert into notes values (1, false), (2, true)")
        assert (await stream.next_change())["record"]["id"] == 2
    assert answer(await get(tables="notes", token="x")) == INVALID


async def test_stream_ends_when_its_token_expires(
    get: Callable[..., Any], user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = AccessToken.for_user(user)
    stream = stream_of(await get(tables="posts", token=str(token)))
    assert (await stream.next()).event == "connected"
    monkeypatch.setattr("ayb_realtime.hub.subscriber.time.time", lambda: token["exp"] + 1)
    expired = await stream.next()
    assert (expired.event, expired.data) == ("expired", "{}")
    with pytest.raises(StopAsyncIteration):
        await stream.next()


async def test_closed_response_leaves_the_hub(get: Callable[..., Any], the_hub: Hub, token: str) -> None:
    response = await get(tables="posts", token=token)
    assert len(the_hub.subscribers) == 1
    subscriber = next(iter(the_hub.subscribers))
    await sync_to_async(response.close)()
    async with asyncio.timeout(30):
        assert [chunk async for chunk in subscriber] == []  # it holds not even the greeting
    assert not the_hub.subscribers


async def test_gzip_leaves_the_stream_alone(
    get: Callable[..., Any], token: str, settings: Any, memory_layer: BaseChannelLayer
) -> None:
    settings.MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware"]
    response = await get({"Accept-Encoding": "gzip"}, tables="posts", token=token)
    first = await anext(aiter(response.streaming_content))
    assert first.startswith(b"retry: 2000\n")


def gone_from_django(patch: pytest.MonkeyPatch) -> None:
    """Let nobody answer where Django's own connections lead."""
    patch.setitem(connections.settings["default"], "PORT", free_port())


def gone_from_the_hub(patch: pytest.MonkeyPatch) -> None:
    """Let the hub get no connection."""
    patch.setattr(Hub, "resolve", failing(PoolTimeout("none in time")))


def without_its_schema(patch: pytest.MonkeyPatch) -> None:
    """Let the hub find no tables of ours: ``migrate`` is still to run, or a dump is being restored."""
    patch.setattr(Hub, "resolve", failing(psycopg.errors.InvalidSchemaName("there is none")))


def gone_from_the_users(patch: pytest.MonkeyPatch) -> None:
    """Let the users be looked up where nobody answers."""
    patch.setattr(JWTAuthentication, "get_user", failing(ConnectionResetError("the directory is gone")))


def failing(error: Exception) -> Callable[..., Any]:
    """Return what raises this."""

    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("gone", [gone_from_django, gone_from_the_hub, without_its_schema, gone_from_the_users])
async def test_database_that_is_gone_is_said_so_and_a_browser_comes_back(
    get: Callable[..., Any], token: str, gone: Callable[[pytest.MonkeyPatch], None]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        gone(patch)
        refusal = await get(tables="posts", token=token)
        response = await get({"Accept": "text/event-stream"}, tables="posts", token=token)
    assert answer(refusal) == (503, {"code": 503, "message": "database unavailable"})
    # An EventSource gives up for ever on any other status. Source: WHATWG HTML, "Server-sent events", processing model.
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/event-stream")
    field, milliseconds = response.content.decode().split(": ")
    assert field == "retry"
    assert 2000 <= int(milliseconds) <= 4000


def test_atomic_requests_of_any_database_leave_the_view_alone(
    monkeypatch: pytest.MonkeyPatch, another_database: dict[str, Any]
) -> None:
    another_database["ATOMIC_REQUESTS"] = True
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    # The view as it is in a project with these settings.
    view = run_path(views.__file__)["realtime"]
    assert BaseHandler().make_view_atomic(view) is view
