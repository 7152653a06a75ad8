"""``disconnect(user)`` ends the user's streams in every process, once, and nothing else does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.core import signing
from django.db import transaction
from rest_framework_simplejwt.authentication import JWTAuthentication, JWTStatelessUserAuthentication
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime import disconnecting
from ayb_realtime.access.proofs import row_of
from ayb_realtime.disconnecting import disconnect
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.lifetime import refreshing
from ayb_realtime.hub.registry import get_hub
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.postgres import database
from ayb_realtime.testing import RealtimeClient
from ayb_realtime.testing.streams import Stream
from example_project.blog.models import User
from tests.integration.rechecking.conftest import logged_in
from tests.integration.scenario import Owner, person


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch, settings: Any, site: None, owner: Owner) -> None:
    owner.execute("delete from ayb_realtime.disconnect")
    monkeypatch.setattr(refreshing, "POLL_SECONDS", 0.02)
    settings.AYB_REALTIME = {**settings.AYB_REALTIME, "RECHECK_SECONDS": None}


@pytest_asyncio.fixture
async def elsewhere(realtime: RealtimeClient) -> AsyncIterator[Hub]:
    """The hub of another process."""
    hub = Hub(None, database.pool())
    await hub.start()
    yield hub
    await hub.close()


def token(user: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {AccessToken.for_user(user)}"}


async def opened(hub: Hub, user: Any) -> Subscriber:
    proof = row_of(user)
    assert proof is not None
    return await hub.subscribe(person(user.pk), ["posts"], proofs=[proof])


async def assert_ended(stream: Stream) -> None:
    assert await stream.event("expired") == {}
    with pytest.raises(AssertionError, match="before the stream ended"):
        await stream.event("another")


async def test_streams_of_the_user_end_and_others_go_on(realtime: RealtimeClient, user: User, elsewhere: Hub) -> None:
    other = await User.objects.acreate(email="other@example.com")
    stream = await realtime.stream(None, ["posts"], headers=token(user))
    of_session = await (await logged_in(user)).stream(realtime)
    others = await realtime.stream(None, ["posts"], headers=token(other))
    here, there = await opened(elsewhere, user), await opened(elsewhere, other)
    await sync_to_async(disconnect)(user)
    await assert_ended(stream)
    await assert_ended(of_session)
    while not here.ended:  # Each process looks by itself.
        await anext(here)
    await others.assert_silent()
    assert not there.ended
    again = await realtime.stream(None, ["posts"], headers=token(user))
    await sync_to_async(disconnect)(other)
    await assert_ended(others)
    assert len([each for each in (await get_hub()).open_streams() if not each.ended]) == 1
    await again.assert_silent()


async def test_user_of_a_token_alone_is_disconnected(realtime: RealtimeClient, user: User, settings: Any) -> None:
    settings.AYB_REALTIME = {"AUTHENTICATION_CLASSES": [JWTStatelessUserAuthentication]}
    stream = await realtime.stream(None, ["posts"], headers=token(user))
    await sync_to_async(disconnect)(JWTStatelessUserAuthentication().get_user(AccessToken.for_user(user)))
    await assert_ended(stream)


async def test_stream_that_is_being_opened_meanwhile_ends_too(
    realtime: RealtimeClient, user: User, settings: Any
) -> None:
    has_read, goes_on = Event(), Event()

    class Slow(JWTAuthentication):
        def get_user(self, token: Any) -> Any:
            found = super().get_user(token)
            has_read.set()
            assert goes_on.wait(60)
            return found

    stream = await realtime.stream(None, ["posts"], headers=token(user))
    settings.AYB_REALTIME = {**settings.AYB_REALTIME, "AUTHENTICATION_CLASSES": [Slow]}
    opening = asyncio.create_task(realtime.stream(None, ["posts"], headers=token(user)))
    await asyncio.to_thread(has_read.wait, 60)
    await sync_to_async(disconnect)(user)
    await assert_ended(stream)  # Its process knows by now.
    goes_on.set()
    await assert_ended(await opening)
    again = await realtime.stream(None, ["posts"], headers=token(user))
    await again.assert_silent()


def rows(owner: Owner) -> int:
    (number,) = owner.execute("select count(*) from ayb_realtime.disconnect").fetchone() or (0,)
    return int(number)


def test_it_waits_for_the_commit(user: User, owner: Owner) -> None:
    with suppress(LookupError), transaction.atomic():
        disconnect(user)
        raise LookupError
    assert rows(owner) == 0
    with transaction.atomic():
        disconnect(user)
        assert rows(owner) == 0
    assert rows(owner) == 1
    owner.execute("update ayb_realtime.disconnect set asked_at = asked_at - interval '2 minutes'")
    disconnect(user)
    assert rows(owner) == 1


async def test_what_no_process_of_the_site_has_written_ends_nothing(
    realtime: RealtimeClient, user: User, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = await realtime.stream(None, ["posts"], headers=token(user))
    whom = [user._meta.label, str(user.pk)]
    texts = [
        "x",
        signing.dumps(whom, salt="another"),
        signing.dumps(whom, salt=disconnecting.SALT, key="another"),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 1e9)
        texts.append(signing.dumps(whom, salt=disconnecting.SALT))
    looked: list[str] = []
    named = disconnecting.named

    def look(text: str) -> Any:
        looked.append(text)
        return named(text)

    monkeypatch.setattr(disconnecting, "named", look)
    for text in texts:
        owner.execute("insert into ayb_realtime.disconnect (id, whom) values (%s, %s)", [uuid4(), text])
    (subscriber,) = (await get_hub()).open_streams()
    while set(looked) < set(texts):
        await stream.assert_silent()
    assert not subscriber.ended
