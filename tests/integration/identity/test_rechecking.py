"""A stream ends when its user may no longer stream: logged out, deactivated, deleted, or with another password."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection, connections
from django.test import AsyncClient
from django.utils import timezone
from httpx_sse import ServerSentEvent, aconnect_sse
from rest_framework.authentication import BaseAuthentication, TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime.hub.rechecking import recheck
from ayb_realtime.hub.registry import get_hub
from ayb_realtime.proofs import Session, disproved, row_of
from ayb_realtime.testing import RealtimeClient, relaying
from ayb_realtime.testing.streams import Stream
from embedded import free_port
from example_project.blog.models import Post, User
from tests.example import MANAGE, Example

SESSIONS = "django.contrib.sessions"
MIDDLEWARE = [f"{SESSIONS}.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"]
SERVER = f"""
from example_project.settings import *

MIDDLEWARE = {MIDDLEWARE}
INSTALLED_APPS = [*INSTALLED_APPS, {SESSIONS!r}]
AYB_REALTIME = {{"RECHECK_SECONDS": 0.2}}
"""


@pytest.fixture
def session_table(transactional_db: None, settings: Any) -> Iterator[None]:
    """The table of Django's sessions, which the example does without."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, SESSIONS]
    sessions = import_module(f"{SESSIONS}.models").Session
    with connection.schema_editor() as editor:
        editor.create_model(sessions)
    yield
    with connection.schema_editor() as editor:
        editor.delete_model(sessions)


class Keyed(TokenAuthentication):  # type: ignore[misc]  # REST framework has no types
    """A site's own tokens in a table, like those of knox."""

    keyword = "Key"

    def authenticate_credentials(self, key: str) -> tuple[Any, Any]:
        """Return the user of a token."""
        token = OutstandingToken.objects.filter(jti=key).first()
        if token is None:
            raise AuthenticationFailed
        return token.user, token


@pytest.fixture
def site(session_table: None, settings: Any, tmp_path: Path) -> None:
    """A site with sessions and tokens."""
    settings.MIDDLEWARE = MIDDLEWARE
    settings.CACHES = {"default": cache_at(os.environ["REDIS_URL"])}
    settings.SESSION_FILE_PATH = str(tmp_path)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.AYB_REALTIME = {
        "AUTHENTICATION_CLASSES": [
            "rest_framework_simplejwt.authentication.JWTAuthentication",
            Keyed,
            "rest_framework.authentication.SessionAuthentication",
        ],
        "RECHECK_SECONDS": 0.1,
    }


def cache_at(url: str) -> dict[str, str]:
    return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}


@pytest.fixture
def user(site: None) -> User:
    return User.objects.create(email="somebody@example.com", password="x")


@pytest_asyncio.fixture
async def realtime(site: None) -> AsyncIterator[RealtimeClient]:
    async with relaying() as client:
        yield client


class Visit:
    """A user who is logged in, and has streams by the session."""

    def __init__(self, user: User, client: AsyncClient) -> None:
        self.user = user
        self.client = client
        self.cookie = client.cookies[django_settings.SESSION_COOKIE_NAME].value

    @property
    def session(self) -> Any:
        return import_module(django_settings.SESSION_ENGINE).SessionStore(self.cookie)

    async def stream(self, realtime: RealtimeClient) -> Stream:
        """Open a stream with the cookie that the user was given. Raises AssertionError if it is refused."""
        client = AsyncClient()
        client.cookies[django_settings.SESSION_COOKIE_NAME] = self.cookie
        return await realtime.stream(None, ["posts"], client=client)

    async def change_password(self) -> None:
        self.user.set_password("another")
        await self.user.asave()


async def logged_in(user: User) -> Visit:
    client = AsyncClient()
    await client.aforce_login(user)
    return Visit(user, client)


async def assert_ends(stream: Stream, again: Callable[[], Awaitable[Stream]]) -> None:
    """Wait for the end of a stream; a client that comes back with the same credentials is refused."""
    assert await stream.event("expired") == {}
    with pytest.raises(AssertionError, match="before the stream ended"):
        await stream.event("another")
    with pytest.raises(AssertionError, match="The stream was refused: 401"):
        await again()


async def assert_goes_on(stream: Stream) -> None:
    """Ask about the credentials of the only stream that is open: it does not end."""
    subscribers = [subscriber for subscriber in (await get_hub()).open_streams() if not subscriber.ended]
    await recheck(subscribers)
    assert [subscriber.ended for subscriber in subscribers] == [False]
    await stream.assert_silent()


ENDINGS: dict[str, Callable[[Visit], Awaitable[Any]]] = {
    "logged out": lambda visit: visit.client.alogout(),
    "session flushed": lambda visit: visit.session.aflush(),
    "session deleted": lambda visit: visit.session.adelete(),
    "password changed": lambda visit: visit.change_password(),
    "deactivated": lambda visit: User.objects.filter(pk=visit.user.pk).aupdate(is_active=False),
    "deleted": lambda visit: visit.user.adelete(),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
async def test_stream_of_a_session_ends(
    realtime: RealtimeClient, user: User, ending: Callable[[Visit], Awaitable[Any]]
) -> None:
    visit = await logged_in(user)
    other = await logged_in(await User.objects.acreate(email="other@example.com"))
    stream, others = await visit.stream(realtime), await other.stream(realtime)
    await ending(visit)
    await assert_ends(stream, lambda: visit.stream(realtime))
    await assert_goes_on(others)


async def test_streams_of_another_process_end(user: User, tmp_path: Path) -> None:
    (tmp_path / "server_settings.py").write_text(SERVER)
    url = urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}"))
    paths = os.pathsep.join([str(tmp_path), str(MANAGE.parent)])
    example = Example(url, tmp_path, DJANGO_SETTINGS_MODULE="server_settings", PYTHONPATH=paths)
    visits = {name: await logged_in(await User.objects.acreate(email=f"{name}@example.com")) for name in ENDINGS}
    example.start()
    try:
        async with httpx.AsyncClient(timeout=60) as client, AsyncExitStack() as stack:

            async def open_stream(visit: Visit) -> AsyncIterator[ServerSentEvent]:
                headers = {"Cookie": f"{django_settings.SESSION_COOKIE_NAME}={visit.cookie}"}
                address = f"{example.address}/api/realtime?tables=posts"
                source = await stack.enter_async_context(aconnect_sse(client, "GET", address, headers=headers))
                events = source.aiter_sse()
                assert (await anext(events)).event == "connected"
                return events

            others = await open_stream(await logged_in(user))
            streams = {name: await open_stream(visit) for name, visit in visits.items()}
            for name, end in ENDINGS.items():
                await end(visits[name])
            for events in streams.values():
                assert [event.event async for event in events] == ["expired"]
            await Post.objects.acreate(author=user, title="for the other")
            assert (await anext(others)).json()["record"]["title"] == "for the other"
    finally:
        example.stop()
        # The connections of Django's asynchronous ORM.
        await sync_to_async(connections.close_all)()


def test_one_query_for_each_table_asks_about_all_users_and_sessions(user: User, django_assert_num_queries: Any) -> None:
    users = [user, *(User.objects.create(email=f"{number}@example.com") for number in range(3))]
    stores = [SessionStore() for _ in users]
    for store in stores:
        store.create()
    proofs: list[Any] = [row_of(each) for each in users] + [Session(str(store.session_key)) for store in stores]
    with django_assert_num_queries(2):
        assert disproved(proofs) == set()
    users[0].delete()
    stores[1].delete()
    assert disproved(proofs) == {proofs[0], proofs[len(users) + 1]}


@pytest.mark.parametrize("engine", ["db", "cache", "cached_db", "file"])
async def test_stream_ends_by_a_logout_with_each_session_engine(
    realtime: RealtimeClient, user: User, settings: Any, engine: str
) -> None:
    settings.SESSION_ENGINE = f"{SESSIONS}.backends.{engine}"
    visit, elsewhere = await logged_in(user), await logged_in(user)
    stream, others = await visit.stream(realtime), await elsewhere.stream(realtime)
    await visit.client.alogout()
    await assert_ends(stream, lambda: visit.stream(realtime))
    await assert_goes_on(others)


async def test_session_in_a_cookie_ends_by_another_password(
    realtime: RealtimeClient, user: User, settings: Any
) -> None:
    settings.SESSION_ENGINE = f"{SESSIONS}.backends.signed_cookies"
    visit = await logged_in(user)
    stream = await visit.stream(realtime)
    await assert_goes_on(stream)
    await visit.change_password()
    await assert_ends(stream, lambda: visit.stream(realtime))


async def test_session_whose_row_alone_is_gone_goes_on_as_at_the_site(
    realtime: RealtimeClient, user: User, settings: Any
) -> None:
    settings.SESSION_ENGINE = f"{SESSIONS}.backends.cached_db"
    visit = await logged_in(user)
    stream = await visit.stream(realtime)
    await import_module(f"{SESSIONS}.models").Session.objects.all().adelete()
    await assert_goes_on(stream)
    await visit.stream(realtime)


@pytest.mark.parametrize("is_revoked", [True, False])
async def test_stream_of_a_token_ends_by_another_password_if_the_token_does(
    realtime: RealtimeClient, user: User, monkeypatch: pytest.MonkeyPatch, is_revoked: bool
) -> None:
    monkeypatch.setattr(api_settings, "CHECK_REVOKE_TOKEN", is_revoked)
    token = {"Authorization": f"Bearer {AccessToken.for_user(user)}"}
    stream = await realtime.stream(None, ["posts"], headers=token)
    user.set_password("another")
    await user.asave()
    if is_revoked:
        await assert_ends(stream, lambda: realtime.stream(None, ["posts"], headers=token))
    else:
        await assert_goes_on(stream)


@pytest.mark.parametrize("change", [{"is_active": False}, None])
async def test_stream_of_a_token_ends_with_its_user(
    realtime: RealtimeClient, user: User, change: dict[str, Any] | None
) -> None:
    token = {"Authorization": f"Bearer {AccessToken.for_user(user)}"}
    stream = await realtime.stream(None, ["posts"], headers=token)
    users = User.objects.filter(pk=user.pk)
    await (users.aupdate(**change) if change else users.adelete())
    await assert_ends(stream, lambda: realtime.stream(None, ["posts"], headers=token))


async def test_stream_of_a_token_in_a_table_ends_with_the_token(realtime: RealtimeClient, user: User) -> None:
    tokens = OutstandingToken.objects
    await tokens.acreate(user=user, jti="1", token="", expires_at=timezone.now())
    headers = {"Authorization": "Key 1"}
    stream = await realtime.stream(None, ["posts"], headers=headers)
    await assert_goes_on(stream)
    await tokens.all().adelete()
    await assert_ends(stream, lambda: realtime.stream(None, ["posts"], headers=headers))


class Lenient(BaseAuthentication):  # type: ignore[misc]  # REST framework has no types
    """A class that takes inactive users, and users whom another service keeps."""

    def authenticate(self, request: Any) -> Any:
        """Return the user whom the header names."""
        who = request.META.get("HTTP_X_USER", "")
        return (User.objects.filter(email=who).first() or User(email=who)), None


@pytest.mark.parametrize("who", ["somebody@example.com", "known@elsewhere.example"])
async def test_what_the_class_did_not_ask_is_not_asked_again(
    realtime: RealtimeClient, user: User, settings: Any, who: str
) -> None:
    settings.AYB_REALTIME = {"AUTHENTICATION_CLASSES": [Lenient]}
    await User.objects.aupdate(is_active=False)
    await assert_goes_on(await realtime.stream(None, ["posts"], headers={"X-User": who}))


def by_proxy(get_response: Callable[..., Any]) -> Callable[..., Any]:
    """Know the user without a session, as behind a proxy that logs users in."""

    def middleware(request: Any) -> Any:
        request.user = User.objects.get()
        return get_response(request)

    return middleware


async def test_stream_of_a_user_whom_a_middleware_knows_ends_with_the_user(
    realtime: RealtimeClient, user: User, settings: Any
) -> None:
    settings.MIDDLEWARE = [f"{__name__}.by_proxy"]
    stream = await realtime.stream(None, ["posts"])
    await assert_goes_on(stream)
    await User.objects.aupdate(is_active=False)
    await assert_ends(stream, lambda: realtime.stream(None, ["posts"]))


async def test_what_cannot_be_asked_ends_nothing(
    realtime: RealtimeClient, user: User, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SESSION_ENGINE = f"{SESSIONS}.backends.cache"
    visit = await logged_in(user)
    stream = await visit.stream(realtime)
    reachable = settings.CACHES
    settings.CACHES = {"default": cache_at(f"redis://127.0.0.1:{free_port()}")}
    await rename_users("users", "users_away")
    caplog.clear()
    await assert_goes_on(stream)
    lines = [record.message for record in caplog.records if record.name == "ayb_realtime.proofs"]
    await rename_users("users_away", "users")
    assert len(lines) >= 2
    assert all(line.startswith("open streams go on unchecked") for line in lines)
    settings.CACHES = reachable
    await assert_goes_on(stream)
    await visit.client.alogout()
    await assert_ends(stream, lambda: visit.stream(realtime))


@sync_to_async
def rename_users(old: str, new: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"alter table {old} rename to {new}")
