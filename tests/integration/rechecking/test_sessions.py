"""A stream of a session ends when the session, or its user, does."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection, connections
from httpx_sse import ServerSentEvent, aconnect_sse

from ayb_realtime.access.proofs import Session, disproved, row_of
from ayb_realtime.testing import RealtimeClient
from example_project.blog.models import Post, User
from tests.example import MANAGE, Example
from tests.integration.rechecking.conftest import (
    MIDDLEWARE,
    SESSIONS,
    Visit,
    assert_ends,
    assert_goes_on,
    logged_in,
)

SERVER = f"""
from example_project.settings import *

MIDDLEWARE = {MIDDLEWARE}
INSTALLED_APPS = [*INSTALLED_APPS, {SESSIONS!r}]
AYB_REALTIME = {{**AYB_REALTIME, "RECHECK_SECONDS": 0.2}}
"""

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
            # What has emptied the tables before this test may be numbered only now, and is a reset.
            while (event := await anext(others)).event == "reset":
                pass
            assert event.json()["record"]["title"] == "for the other"
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


def test_many_are_asked_about_a_part_at_a_time(
    user: User, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ayb_realtime.access.proofs.PROOFS_MAX", 2)
    users = [user, *(User.objects.create(email=f"{number}@example.com") for number in range(4))]
    proofs = [row for each in users if (row := row_of(each))]
    for gone in (users[0], users[4]):
        gone.delete()
    with django_assert_num_queries(3):
        assert disproved(proofs) == {proofs[0], proofs[4]}


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
