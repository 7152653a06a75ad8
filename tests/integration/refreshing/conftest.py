"""A user's stream, and a second hub on the same database, as another process has one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from channels.layers import BaseChannelLayer
from django.contrib.auth import get_user_model
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.lifetime import refreshing
from ayb_realtime.postgres import database

User = get_user_model()


@pytest.fixture
def user(transactional_db: None) -> Any:
    return User.objects.create(email="somebody@example.com")


@pytest.fixture
def stranger(transactional_db: None) -> Any:
    return User.objects.create(email="stranger@example.com")


def token_of(user: Any, minutes: float, **claims: object) -> AccessToken:
    """Return an access token that lasts this long."""
    token = AccessToken.for_user(user)
    token.set_exp(lifetime=timedelta(minutes=minutes))
    token.payload.update(claims)
    return token


@pytest_asyncio.fixture
async def other_hub(
    memory_layer: BaseChannelLayer, the_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Hub]:
    """The hub of another process."""
    monkeypatch.setattr(refreshing, "POLL_SECONDS", 0.02)
    hub = Hub(memory_layer, database.pool())
    await hub.start()
    yield hub
    await hub.close()


@pytest.fixture
def no_answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make it quick to find that no process answers."""
    return lambda: monkeypatch.setattr(refreshing, "ANSWER_SECONDS", 0.1)
