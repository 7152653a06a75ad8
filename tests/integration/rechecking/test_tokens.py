"""A stream of a token ends with the token and its user; what was not asked at the opening ends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from django.db.models import Manager, QuerySet
from django.test.utils import isolate_apps
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime.access.proofs import disproved, row_of
from ayb_realtime.hub.lifetime import rechecking
from ayb_realtime.testing import RealtimeClient
from example_project.blog.models import User
from tests.integration.rechecking.conftest import (
    assert_ends,
    assert_goes_on,
)


@pytest.mark.parametrize("is_revoked", [True, False])
async def test_stream_of_a_token_ends_by_another_password_if_the_token_does(
    realtime: RealtimeClient, user: User, monkeypatch: pytest.MonkeyPatch, is_revoked: bool
) -> None:
    monkeypatch.setattr(api_settings, "CHECK_REVOKE_TOKEN", is_revoked)
    token = {"Authorization": f"Bearer {AccessToken.for_user(user)}"}
    stream = await realtime.stream(None, ["posts"], headers=token)
    user.set_password("another")
    await user.asave()
    if is_revoked:
        await assert_ends(stream, lambda: realtime.stream(None, ["posts"], headers=token))
    else:
        await assert_goes_on(stream)


@pytest.mark.parametrize("change", [{"is_active": False}, None])
async def test_stream_of_a_token_ends_with_its_user(
    realtime: RealtimeClient, user: User, change: dict[str, Any] | None
) -> None:
    token = {"Authorization": f"Bearer {AccessToken.for_user(user)}"}
    stream = await realtime.stream(None, ["posts"], headers=token)
    users = User.objects.filter(pk=user.pk)
    await (users.aupdate(**change) if change else users.adelete())
    await assert_ends(stream, lambda: realtime.stream(None, ["posts"], headers=token))


async def test_stream_of_a_token_in_a_table_ends_with_the_token(realtime: RealtimeClient, user: User) -> None:
    tokens = OutstandingToken.objects
    await tokens.acreate(user=user, jti="1", token="", expires_at=timezone.now())
    headers = {"Authorization": "Key 1"}
    stream = await realtime.stream(None, ["posts"], headers=headers)
    await assert_goes_on(stream)
    await tokens.all().adelete()
    await assert_ends(stream, lambda: realtime.stream(None, ["posts"], headers=headers))


class Lenient(BaseAuthentication):  # type: ignore[misc]  # REST framework has no types
    """A class that takes inactive users, and users whom another service keeps."""

    def authenticate(self, request: Any) -> Any:
        """Return the user whom the header names."""
        who = request.META.get("HTTP_X_USER", "")
        return (User.objects.filter(email=who).first() or User(email=who)), None


@pytest.mark.parametrize("who", ["somebody@example.com", "known@elsewhere.example"])
async def test_what_the_class_did_not_ask_is_not_asked_again(
    realtime: RealtimeClient, user: User, settings: Any, who: str
) -> None:
    settings.AYB_REALTIME = {"AUTHENTICATION_CLASSES": [Lenient]}
    await User.objects.aupdate(is_active=False)
    await assert_goes_on(await realtime.stream(None, ["posts"], headers={"X-User": who}))


class OneTime(BaseAuthentication):  # type: ignore[misc]  # REST framework has no types
    """Tickets that work once, and so are gone before the stream has opened."""

    def authenticate(self, request: Any) -> Any:
        """Use up the ticket that the header names."""
        ticket = OutstandingToken.objects.get(jti=request.META["HTTP_X_TICKET"])
        ticket.delete()
        return ticket.user, ticket


async def test_ticket_that_was_used_up_at_the_opening_is_not_asked_about(
    realtime: RealtimeClient, user: User, settings: Any
) -> None:
    settings.AYB_REALTIME = {"AUTHENTICATION_CLASSES": [OneTime]}
    await OutstandingToken.objects.acreate(user=user, jti="1", token="", expires_at=timezone.now())
    await assert_goes_on(await realtime.stream(None, ["posts"], headers={"X-Ticket": "1"}))


class Hiding(Manager):  # type: ignore[type-arg]
    """A manager that finds no row, as one for another tenant."""

    def get_queryset(self) -> QuerySet[Any]:
        """Find nothing."""
        return super().get_queryset().none()


def test_row_that_the_models_own_manager_hides_is_not_gone(user: User) -> None:
    with isolate_apps("example_project.blog"):

        class Member(User):
            members = Hiding()

            class Meta:
                proxy = True
                app_label = "blog"

        proof = row_of(Member._base_manager.get(pk=user.pk))
        assert proof is not None
        assert disproved([proof]) == set()
        user.delete()
        assert disproved([proof]) == {proof}


def test_row_whose_key_or_state_is_odd_can_be_compared_or_is_not_asked_about(user: User) -> None:
    user.is_active = user.get_username  # type: ignore[assignment]
    proof = row_of(user)
    assert proof is not None
    assert proof.is_active is None
    user.pk = ["no", "hash"]  # type: ignore[assignment]
    assert row_of(user) is None


tenant: ContextVar[str] = ContextVar("tenant", default="none")


async def test_question_is_not_asked_in_the_context_of_the_first_request(
    realtime: RealtimeClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def ask(_: Any) -> set[Any]:
        if not asked.done():
            asked.set_result(tenant.get())
        return set()

    monkeypatch.setattr(rechecking, "_disproved", ask)
    tenant.set("of the first request")
    await realtime.stream(None, ["posts"], headers={"Authorization": f"Bearer {AccessToken.for_user(user)}"})
    assert await asked == "none"


def by_proxy(get_response: Callable[..., Any]) -> Callable[..., Any]:
    """Know the user without a session, as behind a proxy that logs users in."""

    def middleware(request: Any) -> Any:
        request.user = User.objects.get()
        return get_response(request)

    return middleware


async def test_stream_of_a_user_whom_a_middleware_knows_ends_with_the_user(
    realtime: RealtimeClient, user: User, settings: Any
) -> None:
    settings.MIDDLEWARE = [f"{__name__}.by_proxy"]
    stream = await realtime.stream(None, ["posts"])
    await assert_goes_on(stream)
    await User.objects.aupdate(is_active=False)
    await assert_ends(stream, lambda: realtime.stream(None, ["posts"]))
