"""What cannot be asked about the users and sessions of open streams ends none of them, and the log says so."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime.hub.lifetime import rechecking
from ayb_realtime.testing import RealtimeClient
from embedded import free_port
from example_project.blog.models import User
from tests.integration.rechecking.conftest import SESSIONS, assert_ends, assert_goes_on, cache_at, logged_in


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
    lines = [record.message for record in caplog.records if record.name == "ayb_realtime.access.proofs"]
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


async def test_question_that_is_not_answered_in_time_ends_nothing(
    realtime: RealtimeClient,
    user: User,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_told = asyncio.Event()
    token = {"Authorization": f"Bearer {AccessToken.for_user(user)}"}
    stream = await realtime.stream(None, ["posts"], headers=token)
    monkeypatch.setattr(rechecking, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(rechecking.logger, "error", lambda *_, **__: is_told.set())
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        await other.execute("update users set is_active = false")
        await other.execute("lock table users in access exclusive mode")
        await is_told.wait()
        await stream.assert_silent()
    monkeypatch.undo()
    await assert_ends(stream, lambda: realtime.stream(None, ["posts"], headers=token))
