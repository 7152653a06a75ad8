"""Fixtures of the tests of the view: a user, a token, requests, and their answers."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncClient
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime.hub.hub import Hub
from tests.integration.scenario import Stream

User = get_user_model()


UNAUTHENTICATED = (401, {"code": 401, "message": "authentication required"})


INVALID = (401, {"code": 401, "message": "invalid or expired token"})


NO_TABLES = (400, {"code": 400, "message": "tables parameter is required"})


BLANK_TABLES = (400, {"code": 400, "message": "at least one valid table is required"})


@pytest.fixture
def user(transactional_db: None) -> Any:
    """A user with an account."""
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
    """Return the status and the body of an answer that is not a stream."""
    assert response.headers["Content-Type"] == "application/json"
    return response.status_code, response.json()


def stream_of(response: Any) -> Stream:
    """Read an answer that is a stream."""
    assert response.status_code == 200, response.content
    assert isinstance(response, StreamingHttpResponse)
    return Stream(response.streaming_content)
