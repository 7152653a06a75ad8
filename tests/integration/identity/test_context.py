"""A callable IDENTITY sees the context variables that middleware has set, but no thread-locals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.test import AsyncClient
from django.utils import timezone, translation

from ayb_realtime.hub.hub import Hub
from ayb_realtime.identity import Identity, default_identity
from tests.integration.identity.conftest import streaming
from tests.integration.scenario import MakeTable

tenant: ContextVar[str] = ContextVar("tenant", default="")
thread = threading.local()


def remember() -> None:
    tenant.set("acme")
    thread.tenant = "acme"
    translation.activate("de")
    timezone.activate("Asia/Tokyo")


def sync_middleware(get_response: Callable[..., Any]) -> Callable[..., Any]:
    """Store the tenant as most sites' middleware does."""

    def middleware(request: HttpRequest) -> Any:
        remember()
        return get_response(request)

    return middleware


class AsyncMiddleware:
    """Store the tenant in asynchronous middleware."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[..., Any]) -> None:
        assert iscoroutinefunction(get_response)
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> Any:
        remember()
        return await self.get_response(request)


def identity(user: AbstractBaseUser | None, claims: Mapping[str, Any]) -> Identity:
    """Return an identity that holds what was stored."""
    found = {
        "ayb.tenant": tenant.get(),
        "ayb.thread": getattr(thread, "tenant", "none"),
        "ayb.language": translation.get_language(),
        "ayb.zone": timezone.get_current_timezone_name(),
    }
    return replace(default_identity(user, claims), settings=tuple(found.items()))


@pytest.mark.parametrize("middleware", ["sync_middleware", "AsyncMiddleware"])
async def test_callable_has_the_context_variables_of_middleware_and_not_its_thread_locals(
    the_hub: Hub,
    async_client: AsyncClient,
    make_table: MakeTable,
    token: Callable[..., str],
    settings: Any,
    middleware: str,
) -> None:
    make_table("notes", "id int primary key")
    settings.MIDDLEWARE = [f"{__name__}.{middleware}"]
    settings.AYB_REALTIME = {"IDENTITY": identity}
    async with streaming(async_client, token=await sync_to_async(token)()):
        (subscriber,) = the_hub.live_subscribers
    assert dict(subscriber.identity.settings) == {
        "ayb.tenant": "acme",
        "ayb.thread": "none",
        "ayb.language": "de",
        "ayb.zone": "Asia/Tokyo",
    }
