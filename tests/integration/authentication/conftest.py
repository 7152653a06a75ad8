"""A site with sessions, and a client that asks it for streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.test import AsyncClient

from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.streams.subscriber import Subscriber

User = get_user_model()

SESSION = {
    "MIDDLEWARE": [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
}


@pytest.fixture
def user(transactional_db: None) -> Any:
    return User.objects.create(email="somebody@example.com")


@pytest.fixture
def sessions(settings: Any) -> None:
    """The middleware of a site with sessions."""
    for name, value in SESSION.items():
        setattr(settings, name, value)


@pytest_asyncio.fixture
async def get(the_hub: Hub, async_client: AsyncClient) -> AsyncIterator[Callable[..., Any]]:
    """Ask for a stream of the posts: return the status, and the open stream as the hub has it, or None."""
    responses: list[Any] = []

    async def request(headers: dict[str, str] | None = None, **parameters: str) -> tuple[int, Subscriber | None]:
        before = set(the_hub.live_subscribers)
        path = "/api/realtime"
        responses.append(await async_client.get(path, {"tables": "posts", **parameters}, headers=headers or {}))
        opened = set(the_hub.live_subscribers) - before
        return responses[-1].status_code, (opened.pop() if opened else None)

    yield request
    for response in responses:
        await sync_to_async(response.close)()


def user_id(stream: Subscriber | None) -> str:
    assert stream is not None
    return dict(stream.identity.settings)["ayb.user_id"]
