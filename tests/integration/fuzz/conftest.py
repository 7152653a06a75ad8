"""A user with an open stream beside all odd input, which has to receive its changes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from channels.layers import BaseChannelLayer

from ayb_realtime.hub.hearing import feed
from ayb_realtime.hub.hub import Hub
from ayb_realtime.identity import default_identity
from example_project.blog.models import Post, User
from tests.fuzz import UNLIMITED
from tests.fuzz.values import USER_ID
from tests.integration.conftest import number
from tests.integration.scenario import Owner, Stream, open_stream, relaying

EMAIL, PASSWORD = "somebody@example.com", "correct horse"
# What is odd may be so often.
NO_RATES = {"ayb_login": None, "ayb_login_email": None}


@dataclass(frozen=True, slots=True)
class Honest:
    """A user, and the stream of the posts that this user has open."""

    user: User
    stream: Stream
    numbers: Any

    async def hears(self) -> None:
        """Write a post, and expect it as the stream's next change."""
        title = str(next(self.numbers))
        await Post.objects.acreate(author=self.user, title=title, published=True)
        assert (await self.stream.next_change())["record"]["title"] == title


@pytest.fixture
def numbered(owner: Owner) -> None:
    """Number what earlier tests have left, before the hub begins."""
    number(owner)


@pytest_asyncio.fixture
async def honest(
    world_layer: BaseChannelLayer,
    numbered: None,
    the_hub: Hub,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> AsyncIterator[Honest]:
    """The user. At the end the stream receives a change, no other stream is open, and no traceback has been logged."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.AYB_REALTIME = {**settings.AYB_REALTIME, "LIMITS": UNLIMITED}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": NO_RATES}
    # Changes come by the layer alone, so that one that it loses is missed.
    monkeypatch.setattr(feed, "SILENCE_SECONDS", 3600)
    user = await sync_to_async(User.objects.create_user)(EMAIL, PASSWORD, id=USER_ID)
    async with relaying(world_layer):
        honest = Honest(user, await open_stream(the_hub, default_identity(user, {}), "posts"), count())
        yield honest
        await honest.hears()
        assert len(the_hub.open_streams()) == 1
    assert [record for record in caplog.records if record.exc_info] == []
