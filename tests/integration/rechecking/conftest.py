"""A site with sessions and tokens, its users, and their streams."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from django.conf import settings as django_settings
from django.db import connection
from django.test import AsyncClient
from rest_framework.authentication import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from ayb_realtime.hub.lifetime.rechecking import recheck
from ayb_realtime.hub.registry import get_hub
from ayb_realtime.testing import RealtimeClient, relaying
from ayb_realtime.testing.streams import Stream
from example_project.blog.models import User

SESSIONS = "django.contrib.sessions"
MIDDLEWARE = [f"{SESSIONS}.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"]


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
