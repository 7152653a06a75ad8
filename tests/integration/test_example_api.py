"""The example's API reads and writes under the caller's own identity: PostgreSQL's policies answer."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.http import HttpResponse
from django.test import Client, override_settings
from rest_framework_simplejwt.tokens import AccessToken

from example_project.blog.demo import ACCOUNTS
from example_project.blog.models import Comment, Membership, Post, Team, User

pytestmark = pytest.mark.django_db

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


def assert_refused(response: HttpResponse, code: int, message: str) -> None:
    assert (response.status_code, json.loads(response.content)) == (code, {"code": code, "message": message})


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


def test_create_answers_the_row(third: Caller) -> None:
    response = third("POST", POSTS, {"title": "New", "published": True})

    body = json.loads(response.content)
    assert response.status_code == 201
    assert (body["title"], body["published"], body["author_id"]) == ("New", True, str(THIRD))
    assert Post.objects.get(pk=body["id"]).author_id == THIRD


def test_create_as_another_author_is_refused(third: Caller) -> None:
    response = third("POST", POSTS, {"title": "Forged", "author_id": str(FIRST)})

    assert_refused(response, 403, "not allowed by the table's policies")
    assert not Post.objects.filter(title="Forged").exists()


def test_comment_in_a_foreign_team_is_refused(third: Caller) -> None:
    response = third("POST", COMMENTS, {"body": "Forged", "team_id": Team.objects.get().pk})

    assert_refused(response, 403, "not allowed by the table's policies")
    assert not Comment.objects.filter(body="Forged").exists()


def test_comment_in_no_team_is_refused(first: Caller) -> None:
    assert first("POST", COMMENTS, {"body": "Nowhere", "team_id": 2**63 - 1}).status_code == 403


def test_member_comments_and_deletes(first: Caller) -> None:
    created = json.loads(first("POST", COMMENTS, {"body": "Mine", "team_id": Team.objects.get().pk}).content)

    assert first("DELETE", f"{COMMENTS}/{created['id']}").status_code == 204
    assert not Comment.objects.filter(pk=created["id"]).exists()


def test_comment_of_another_member_cannot_be_deleted(first: Caller) -> None:
    comment = Comment.objects.get(author_id=SECOND)

    assert_refused(first("DELETE", f"{COMMENTS}/{comment.pk}"), 404, "record not found")
    assert Comment.objects.filter(pk=comment.pk).exists()


def test_comments_cannot_be_changed(first: Caller) -> None:
    comment = Comment.objects.get(author_id=FIRST)

    response = first("PATCH", f"{COMMENTS}/{comment.pk}", {"body": "Changed"})

    assert_refused(response, 403, "not allowed by the table's policies")


def test_update_answers_the_row(first: Caller) -> None:
    post = post_of(FIRST, published=False)

    response = first("PATCH", f"{POSTS}/{post.pk}", {"published": True})

    body = json.loads(response.content)
    assert (response.status_code, body["published"], body["title"]) == (200, True, post.title)
    assert body["updated_at"] > body["created_at"]


def test_own_post_cannot_be_given_away(first: Caller) -> None:
    post = post_of(FIRST, published=False)

    response = first("PATCH", f"{POSTS}/{post.pk}", {"author_id": str(THIRD)})

    assert_refused(response, 403, "not allowed by the table's policies")
    assert post_of(FIRST, published=False) == post


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize(("method", "body"), [("PATCH", {"title": "Changed"}), ("DELETE", None)])
def test_post_of_another_author_cannot_be_written(third: Caller, method: str, body: Any, published: bool) -> None:
    post = post_of(FIRST, published=published)

    assert_refused(third(method, f"{POSTS}/{post.pk}", body), 404, "record not found")
    assert post_of(FIRST, published=published).title == post.title


def test_draft_of_another_author_does_not_exist(first: Caller, third: Caller) -> None:
    draft = post_of(FIRST, published=False)

    assert first("GET", f"{POSTS}/{draft.pk}").status_code == 200
    assert_refused(third("GET", f"{POSTS}/{draft.pk}"), 404, "record not found")


def test_delete_removes_the_row(first: Caller) -> None:
    post = post_of(FIRST, published=False)

    assert first("DELETE", f"{POSTS}/{post.pk}").status_code == 204
    assert first("DELETE", f"{POSTS}/{post.pk}").status_code == 404


@pytest.mark.parametrize("key", ["x", "0", "-1", "1.5", "9" * 19, "9" * 5000, "%00", "²", "1%27"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_odd_key_is_not_found(first: Caller, method: str, key: str) -> None:
    assert_refused(first(method, f"{POSTS}/{key}"), 404, "record not found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"title": None},
        {"title": 1},
        {"title": " "},
        {"title": "\0"},
        {"title": "\ud800"},
        {"title": "x", "published": "yes"},
        {"title": "x", "published": None},
        {"title": "x", "author_id": "me"},
        {"title": "x", "author_id": None},
        {"title": "x", "id": 1},
        {"title": "x", "\ud800": 1},
    ],
    ids=repr,
)
def test_odd_post_is_refused(first: Caller, body: Any) -> None:
    assert first("POST", POSTS, body).status_code == 400


@pytest.mark.parametrize("team", [None, "1", 0, 1.5, True, 2**63, [1]])
def test_odd_team_is_refused(first: Caller, team: Any) -> None:
    assert first("POST", COMMENTS, {"body": "x", "team_id": team}).status_code == 400


@pytest.mark.parametrize("body", [{}, {"user_id": 1}, {"user_id": "x"}])
def test_odd_member_is_refused(first: Caller, body: Any) -> None:
    assert first("POST", MEMBERSHIPS, body).status_code == 400


def test_unknown_member_is_not_found(first: Caller) -> None:
    body = {"user_id": "00000000-0000-4000-8000-000000000000"}

    assert_refused(first("POST", MEMBERSHIPS, body), 404, "user not found")


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
