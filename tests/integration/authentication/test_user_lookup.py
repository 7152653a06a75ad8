"""Users of requests that come together are looked up in one query, and each request gets what its own would find."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import ContextVar, copy_context
from threading import Event
from typing import Any

import jwt
import pytest
from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.contrib.auth import get_user_model
from django.db import connection, connections
from django.db.models import QuerySet
from django.http import HttpRequest
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime import rests, views
from ayb_realtime.access import user_lookup
from ayb_realtime.authentication import Authenticated, authenticate
from ayb_realtime.exceptions import Unauthenticated
from ayb_realtime.rests import Rest

User: Any = get_user_model()
TENANT: ContextVar[str] = ContextVar("tenant")


@pytest.fixture
def users(transactional_db: None) -> list[Any]:
    return [User.objects.create(email=f"{name}@example.com") for name in ("ann", "ben", "cem")]


def token(user: Any) -> str:
    return str(AccessToken.for_user(user))


def request(given: str) -> HttpRequest:
    return RequestFactory().get("/api/realtime", {"tables": "posts", "token": given})


def together(requests: Sequence[HttpRequest]) -> tuple[list[Any], int]:
    """Authenticate requests that wait at the same time; return the users, and the number of queries."""
    with ExitStack() as stack, CaptureQueriesContext(connection) as queries:
        for each in requests:
            stack.enter_context(user_lookup.waiting(each))
        return [outcome(each) for each in requests], len(queries)


def outcome(asked: HttpRequest) -> Any:
    try:
        return authenticate(asked).user
    except Unauthenticated as error:
        return error.message


def test_users_of_requests_that_wait_together_are_looked_up_in_one_query(users: list[Any]) -> None:
    assert together([request(token(user)) for user in users]) == (users, 1)
    assert not user_lookup._waiting
    # Alone, the class looks its user up itself.
    assert together([request(token(users[0]))]) == (users[:1], 1)


def test_header_names_the_user_rather_than_the_parameter(users: list[Any]) -> None:
    asked = [request("x") for _ in users]
    for each, user in zip(asked, users, strict=True):
        each.META["HTTP_AUTHORIZATION"] = f"Bearer {token(user)}"
    assert together(asked) == (users, 1)


def test_requests_of_one_user_get_an_object_each(users: list[Any]) -> None:
    (first, second, other), queries = together([request(token(users[at])) for at in (0, 0, 1)])
    assert first == second == users[0]
    assert first is not second
    assert (other, queries) == (users[1], 2)


def test_no_more_users_than_the_most_are_looked_up_by_one_query(
    users: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_lookup, "USERS_MAX", 2)
    assert together([request(token(user)) for user in users]) == (users, 2)


def signed(**claims: Any) -> str:
    """Return a token that no one has signed with our key."""
    return jwt.encode(claims, "another key, which is long enough for this", algorithm="HS256")


@pytest.mark.parametrize(
    "given",
    [
        "x",
        "a.b.c",
        "a." + "W" * 40_000 + ".c",
        signed(),
        signed(user_id=[1]),
        signed(user_id=True),
        signed(user_id="not a key"),
        signed(user_id="00000000-0000-0000-0000-000000000000"),
    ],
)
def test_token_that_is_none_harms_no_other(users: list[Any], given: str) -> None:
    found, queries = together([request(given), *(request(token(user)) for user in users)])
    assert (found, queries) == (["invalid or expired token", *users], 1)


@pytest.mark.parametrize("key", ["\0", "\ud800"])
def test_name_that_postgres_cannot_store_harms_no_other(
    users: list[Any], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_settings, "USER_ID_FIELD", "email")
    found, queries = together([request(signed(user_id=key)), *(request(token(user)) for user in users)])
    assert (found, queries) == (["invalid or expired token", *users], 1)


def test_user_who_is_gone_or_inactive_is_refused(users: list[Any]) -> None:
    tokens = [token(user) for user in users]
    users[0].delete()
    User.objects.filter(pk=users[1].pk).update(is_active=False)
    refused = "invalid or expired token"
    # One query for all, and simplejwt's own for the user who was not found.
    assert together([request(each) for each in tokens]) == ([refused, refused, users[2]], 2)


def test_class_of_the_sites_own_looks_each_user_up_itself(users: list[Any], settings: Any) -> None:
    class Own(JWTAuthentication):
        def get_user(self, validated_token: Any) -> Any:
            assert self.user_model is User
            return super().get_user(validated_token)

    settings.AYB_REALTIME = {"AUTHENTICATION_CLASSES": [Own]}
    assert together([request(token(user)) for user in users]) == (users, 3)


def test_instance_that_a_site_keeps_is_left_as_it_is(users: list[Any], settings: Any) -> None:
    kept = JWTAuthentication()
    settings.AYB_REALTIME = {"AUTHENTICATION_CLASSES": [lambda: kept]}
    assert together([request(token(user)) for user in users]) == (users, 1)
    assert kept.user_model is User


def test_all_else_of_the_model_is_as_it_was(users: list[Any]) -> None:
    shared = user_lookup.SharedUsers(User, request("x"))
    assert (shared.DoesNotExist, shared.objects.count()) == (User.DoesNotExist, 3)
    assert shared.objects.get(pk=users[0].pk, email="ann@example.com") == users[0]
    with pytest.raises(User.DoesNotExist):
        shared.objects.get(pk=users[0].pk, email="ben@example.com")


def test_manager_with_a_get_of_its_own_is_asked_for_each_user(
    users: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(QuerySet[Any]):
        def get(self, *args: Any, **kwargs: Any) -> Any:
            return super().get(*args, **kwargs)

    monkeypatch.setattr(User.objects, "_queryset_class", Own)
    assert together([request(token(user)) for user in users]) == (users, 3)


def test_requests_of_other_tenants_share_no_query(users: list[Any]) -> None:
    asked = [request(token(user)) for user in users]
    with ExitStack() as stack, CaptureQueriesContext(connection) as queries:
        for each, tenant in zip(asked, ("a", "b", "a"), strict=True):
            context = copy_context()
            context.run(TENANT.set, tenant)
            context.run(stack.enter_context, user_lookup.waiting(each))
        assert [outcome(each) for each in asked] == users
    assert len(queries) == 2


def test_requests_that_djangos_handler_gives_a_thread_each_share_a_query(users: list[Any]) -> None:
    asked = [request(token(user)) for user in users]
    with ExitStack() as stack, CaptureQueriesContext(connection) as queries:
        for each in asked:
            context = copy_context()
            context.run(SyncToAsync.thread_sensitive_context.set, ThreadSensitiveContext())
            context.run(stack.enter_context, user_lookup.waiting(each))
        assert [outcome(each) for each in asked] == users
    assert len(queries) == 1


async def test_connections_that_middleware_has_in_the_event_loop_do_not_keep_requests_apart(users: list[Any]) -> None:
    asked = [request(token(user)) for user in users]

    async def arrive(each: HttpRequest) -> None:
        assert connections["default"].alias  # Another object in each task.
        stack.enter_context(user_lookup.waiting(each))

    def answer() -> tuple[list[Any], int]:
        with CaptureQueriesContext(connection) as queries:
            found = [outcome(each) for each in asked]
        connections.close_all()
        return found, len(queries)

    with ExitStack() as stack:
        for each in asked:
            await asyncio.create_task(arrive(each))
        assert await asyncio.to_thread(answer) == (users, 1)


def test_look_up_that_fails_leaves_each_to_itself_and_is_told(
    users: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("broken")

    asked = [request(token(user)) for user in users]
    with monkeypatch.context() as patch:
        patch.setattr(user_lookup._Batch, "_keep", broken)
        assert together(asked) == (users, 4)
    assert caplog.record_tuples == [
        ("ayb_realtime.access.user_lookup", logging.WARNING, f"{user_lookup.ONE_BY_ONE}: broken")
    ]


def test_another_thread_waits_for_the_look_up_that_its_user_is_in(
    users: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, looks = Event(), user_lookup._Batch.look_up
    asked = [request(token(user)) for user in users]

    class Noted(Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.set()
            return super().wait(timeout)

    def look_up(batch: Any, *given: Any) -> None:
        other = threads.submit(alone, asked[1])
        has_waited = waits.wait(30)
        looks(batch, *given)
        assert (has_waited, other.result(30)) == (True, users[1])

    def alone(each: HttpRequest) -> Any:
        with CaptureQueriesContext(connection) as queries:
            found = outcome(each)
        connections.close_all()
        return found if not queries else "asked itself"

    monkeypatch.setattr(user_lookup, "Event", Noted)
    monkeypatch.setattr(user_lookup._Batch, "look_up", look_up)
    with ThreadPoolExecutor(1) as threads:
        # The other thread has taken its user, so the same request looks it up once more.
        assert together(asked) == (users, 2)


async def test_streams_that_are_opened_together_share_a_query(
    get: Callable[..., Any], users: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier, authenticated = asyncio.Barrier(len(users)), views._authenticate
    batches: list[int] = []
    looks = user_lookup._Batch.look_up

    async def all_at_once(asked: HttpRequest) -> Authenticated:
        await barrier.wait()
        return await authenticated(asked)

    def look_up(batch: Any, model: Any, name: str, requests: Sequence[HttpRequest]) -> None:
        batches.append(len(requests))
        looks(batch, model, name, requests)

    monkeypatch.setattr(views, "_authenticate", all_at_once)
    monkeypatch.setattr(user_lookup._Batch, "look_up", look_up)
    await asyncio.gather(*(get(token=token(user)) for user in users))
    assert batches == [len(users)]


async def test_request_waits_for_others_if_users_were_looked_up_a_moment_ago(
    users: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        assert len(user_lookup._waiting) == 1

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", sleep)
        patch.setattr(user_lookup._rest, "_until", time.monotonic() + 600)
        assert (await views._authenticated(request(token(users[0])))).user == users[0]
    assert len(pauses) == 1


def test_look_up_is_followed_by_a_rest(users: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rests, "FACTOR", 1e12)
    monkeypatch.setattr(rests, "SECONDS", 600)
    for asked in ([request(token(users[0]))], [request(token(user)) for user in users]):
        monkeypatch.setattr(user_lookup, "_rest", Rest())
        together(asked)
        assert user_lookup._rest.seconds_left > 0
