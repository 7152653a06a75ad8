"""What the example's API creates, changes and deletes, and for whom."""

import json
from typing import Any

import pytest

from example_project.blog.models import Comment, Post, Team
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
)

pytestmark = pytest.mark.django_db


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
