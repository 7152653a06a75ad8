"""Fixtures of the tests of identities: roles, tokens, and streams that the view opens."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime.identity import Identity, default_identity
from example_project.blog.models import User
from tests.integration.conftest import GRANTEES
from tests.integration.scenario import Owner, Stream

MakeRole = Callable[..., str]


def under(role: str) -> Callable[..., Identity]:
    """Return an IDENTITY that gives every user this role."""
    return lambda user, claims: replace(default_identity(user, claims), role=role)


@pytest.fixture
def make_role(owner: Owner) -> Iterator[MakeRole]:
    """Create roles that the tables' owner may act as."""
    made: list[str] = []

    def make(options: str = "") -> str:
        name = f"Role {uuid4().hex}"
        owner.execute(f'create role "{name}" nologin {options}'.encode())
        made.append(name)
        owner.execute(f'grant "{name}" to {GRANTEES}'.encode())
        return name

    yield make
    for name in made:
        owner.execute(f'drop owned by "{name}"'.encode())
        owner.execute(f'drop role "{name}"'.encode())


@pytest.fixture
def token(transactional_db: None) -> Callable[..., str]:
    """Issue an access token with these claims to a new user."""

    def issue(**claims: object) -> str:
        issued = AccessToken.for_user(User.objects.create(email=f"{uuid4().hex}@example.com"))
        issued.payload.update(claims)
        return str(issued)

    return issue


@asynccontextmanager
async def streaming(client: AsyncClient, **parameters: str) -> AsyncIterator[Stream]:
    """Open a stream of the table "notes", and close it as Django does once a client has gone."""
    response: Any = await client.get("/api/realtime", {"tables": "notes", **parameters})
    assert response.status_code == 200, response.content
    stream = Stream(response.streaming_content)
    try:
        assert (await stream.next()).event == "connected"
        yield stream
    finally:
        await sync_to_async(response.close)()


async def refused(client: AsyncClient, token: str) -> tuple[int, Any]:
    """Request a stream that is refused; return the status and the body."""
    response: Any = await client.get("/api/realtime", {"tables": "notes", "token": token})
    return response.status_code, json.loads(response.content)
