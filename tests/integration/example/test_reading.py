"""What the example's API lists, and to whom."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from example_project.blog.demo import ACCOUNTS
from example_project.blog.models import Comment, Membership, Post, User
from tests.integration.accounts.conftest import assert_refused
from tests.integration.example.conftest import (
    COMMENTS,
    FIRST,
    MEMBERSHIPS,
    POSTS,
    SECOND,
    THIRD,
    Caller,
    post_of,
    seed,
)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("user_id", [FIRST, SECOND, THIRD])
def test_posts_are_ones_own_and_the_published(user_id: Any) -> None:
    expected = {post.pk for post in Post.objects.all() if post.published or post.author_id == user_id}

    assert {post["id"] for post in Caller(user_id).items(POSTS)} == expected
    assert expected != set(Post.objects.values_list("pk", flat=True))


@pytest.mark.parametrize(("user_id", "count"), [(FIRST, 2), (SECOND, 2), (THIRD, 0)])
def test_comments_are_the_teams(user_id: Any, count: int) -> None:
    assert len(Caller(user_id).items(COMMENTS)) == count


def test_requests_in_a_transaction_follow_the_policies_too(
    first: Caller, third: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = post_of(FIRST, published=False)
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)

    assert draft.pk in {post["id"] for post in first.items(POSTS)}
    assert draft.pk not in {post["id"] for post in third.items(POSTS)}
    assert first("GET", f"{POSTS}/{draft.pk}").status_code == 200
    assert third("GET", f"{POSTS}/{draft.pk}").status_code == 404
    assert first("PATCH", f"{POSTS}/{draft.pk}", {"author_id": str(THIRD)}).status_code == 403
    assert first("DELETE", f"{POSTS}/{draft.pk}").status_code == 204
    assert not Post.objects.filter(pk=draft.pk).exists()


def test_membership_shows_and_hides_the_comments(third: Caller) -> None:
    response = third("POST", MEMBERSHIPS, {"user_id": str(THIRD)})
    assert json.loads(response.content)["members"] == [str(FIRST), str(SECOND), str(THIRD)]
    assert len(third.items(COMMENTS)) == 2

    assert third("DELETE", f"{MEMBERSHIPS}/{THIRD}").status_code == 204
    assert third.items(COMMENTS) == []


def test_list_has_the_shape_of_the_sdk(first: Caller) -> None:
    body = json.loads(first("GET", POSTS, page=2, perPage=2, sort="id").content)

    assert {name: body[name] for name in body if name != "items"} == {
        "page": 2,
        "perPage": 2,
        "totalItems": 3,
        "totalPages": 2,
    }
    [item] = body["items"]
    post = Post.objects.get(pk=item["id"])
    assert item == {
        "id": post.pk,
        "author_id": str(post.author_id),
        "title": post.title,
        "body": "",
        "published": post.published,
        "created_at": post.created_at.isoformat().replace("+00:00", "Z"),
        "updated_at": post.updated_at.isoformat().replace("+00:00", "Z"),
    }


def test_page_beyond_the_last_is_empty(first: Caller) -> None:
    body = json.loads(first("GET", POSTS, page=9).content)

    assert (body["items"], body["page"], body["totalPages"]) == ([], 9, 1)


@pytest.mark.parametrize(
    "query",
    [
        {"page": "0"},
        {"page": "-1"},
        {"page": "x"},
        {"page": "9" * 5000},
        {"perPage": "0"},
        {"perPage": "\0"},
        {"sort": "author__password"},
        {"sort": "\0"},
        {"sort": "?"},
        {"filter": "published=true"},
        {"expand": "author"},
    ],
    ids=lambda query: repr(query)[:40],
)
def test_odd_query_is_refused(first: Caller, query: dict[str, str]) -> None:
    assert first("GET", POSTS, **query).status_code == 400


@pytest.mark.parametrize("name", ["users", "nothing", "%00"])
def test_unknown_collection_is_not_found(first: Caller, name: str) -> None:
    assert_refused(first("GET", f"/api/collections/{name}"), 404, "collection not found")


@pytest.mark.parametrize("path", [POSTS, f"{POSTS}/1", COMMENTS, MEMBERSHIPS])
def test_without_token_everything_is_refused(client: Client, path: str) -> None:
    assert_refused(client.get(path), 401, "authentication required")  # type: ignore[arg-type]


def test_seeding_again_changes_nothing() -> None:
    before = [list(model.objects.order_by("pk").values()) for model in (User, Post, Comment, Membership)]

    assert len(seed().splitlines()) == 1

    assert [list(model.objects.order_by("pk").values()) for model in (User, Post, Comment, Membership)] == before


def test_page_offers_the_accounts(client: Client) -> None:
    page = client.get("/").content.decode()

    assert all(account.email in page for account in ACCOUNTS)
