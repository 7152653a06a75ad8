"""A callable IDENTITY sees the context variables that middleware has set, but no thread-locals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.asgi import get_asgi_application
from django.http import HttpRequest
from django.utils import timezone, translation

from ayb_realtime.asgi import Application, Realtime
from ayb_realtime.hub.hub import Hub
from ayb_realtime.identity import Identity, default_identity
from tests.integration.scenario import MakeTable

# It has no types.
Communicator: Any = ApplicationCommunicator

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


def through(get_response: Callable[..., Any]) -> Callable[..., Any]:
    """Do nothing, in synchronous middleware: Django then calls what is inside it in another thread."""
    return lambda request: get_response(request)


def identity(user: AbstractBaseUser | None, claims: Mapping[str, Any]) -> Identity:
    """Return an identity that holds what was stored."""
    found = {
        "ayb.tenant": tenant.get(),
        "ayb.thread": getattr(thread, "tenant", "none"),
        "ayb.language": translation.get_language(),
        "ayb.zone": timezone.get_current_timezone_name(),
    }
    return replace(default_identity(user, claims), settings=tuple(found.items()))


APPLICATIONS: dict[str, Callable[[], Application]] = {
    "Django's own": get_asgi_application,
    "Realtime": lambda: Realtime(get_asgi_application()),
}


@pytest.mark.parametrize("middleware", [["sync_middleware"], ["AsyncMiddleware"], ["AsyncMiddleware", "through"]])
@pytest.mark.parametrize("application", APPLICATIONS.values(), ids=APPLICATIONS)
async def test_callable_has_the_context_variables_of_middleware_and_not_its_thread_locals(
    the_hub: Hub,
    make_table: MakeTable,
    token: Callable[..., str],
    settings: Any,
    application: Callable[[], Application],
    middleware: list[str],
) -> None:
    make_table("notes", "id int primary key")
    settings.MIDDLEWARE = [f"{__name__}.{name}" for name in middleware]
    settings.AYB_REALTIME = {"IDENTITY": identity}
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/realtime",
        "query_string": f"tables=notes&token={await sync_to_async(token)()}".encode(),
        "headers": [(b"host", b"testserver")],
    }
    communicator = Communicator(application(), scope)
    await communicator.send_input({"type": "http.request"})
    assert (await communicator.receive_output(30))["status"] == 200
    (subscriber,) = the_hub.open_streams()
    await communicator.send_input({"type": "http.disconnect"})
    await communicator.wait(30)
    assert dict(subscriber.identity.settings) == {
        "ayb.tenant": "acme",
        "ayb.thread": "none",
        "ayb.language": "de",
        "ayb.zone": "Asia/Tokyo",
    }
