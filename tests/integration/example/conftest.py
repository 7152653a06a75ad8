"""What the tests of the example share: its seeded accounts, and requests of theirs."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client, override_settings
from rest_framework_simplejwt.tokens import AccessToken

from example_project.blog.demo import ACCOUNTS
from example_project.blog.models import Post, User

FIRST, SECOND, THIRD = (account.id for account in ACCOUNTS)


POSTS, COMMENTS, MEMBERSHIPS = "/api/collections/posts", "/api/collections/comments", "/api/memberships"


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        seed()
        yield


def seed() -> str:
    output = StringIO()
    call_command("seed", stdout=output)
    return output.getvalue()


class Caller:
    """A client that is logged in as one of the seeded accounts."""

    def __init__(self, user_id: Any) -> None:
        self.client = Client()
        token = AccessToken.for_user(User.objects.get(pk=user_id))
        self.headers = {"Authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> HttpResponse:
        data = b"" if body is None else json.dumps(body)
        return self.client.generic(  # type: ignore[return-value]
            method, path, data, content_type="application/json", headers=self.headers, query_params=query
        )

    def items(self, path: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self("GET", path).content)["items"]
        return items


@pytest.fixture
def first() -> Caller:
    return Caller(FIRST)


@pytest.fixture
def third() -> Caller:
    return Caller(THIRD)


def post_of(user_id: Any, *, published: bool) -> Post:
    return Post.objects.get(author_id=user_id, published=published)
