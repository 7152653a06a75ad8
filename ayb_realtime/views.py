"""``GET /api/realtime``: authenticate, resolve the tables, subscribe, stream."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import psycopg
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.asgi import ASGIRequest
from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from ayb_realtime import asgi
from ayb_realtime.asgi import Handover
from ayb_realtime.authentication import authenticate
from ayb_realtime.conf import conf
from ayb_realtime.exceptions import (
    AuthenticationUnavailable,
    CrossSiteRequest,
    InvalidIdentity,
    NotMigrated,
    RoleRefused,
    Unauthenticated,
    UnknownTable,
)
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.registry import get_hub, opening
from ayb_realtime.hub.subscriber import Subscriber
from ayb_realtime.outages import never_atomic
from ayb_realtime.postgres.threads import ConnectionThreads
from ayb_realtime.sinks import Sink
from ayb_realtime.wire import sse

logger = logging.getLogger(__name__)


# How many requests are authenticated at a time, and so how many of Django's connections are used.
AUTHENTICATING = 4

STREAM_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    # Keeps GZipMiddleware from compressing the stream, which would hold events back.
    "Content-Encoding": "identity",
}


class EventStream:
    """A subscriber as the body of a response, which leaves the hub when the response is closed."""

    __slots__ = ("_hub", "_loop", "_subscriber")

    def __init__(self, hub: Hub, subscriber: Subscriber) -> None:
        self._hub = hub
        self._subscriber = subscriber
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> Subscriber:
        return self._subscriber

    def write_to(self, sink: Sink) -> None:
        """Let chunks go to this while the response waits for one."""
        self._subscriber.sink = sink

    def leave(self) -> None:
        """Leave the hub. May be called again."""
        self._hub.leave(self._subscriber)

    def close(self) -> None:
        """Leave the hub. Django calls this in another thread, once the client has gone."""
        with suppress(RuntimeError):  # The event loop, and the hub with it, may be gone already.
            self._loop.call_soon_threadsafe(self.leave)


# Not in the request's own thread: that thread and its connection could stay open as long as the stream.
_authenticate = sync_to_async(authenticate, thread_sensitive=False, executor=ConnectionThreads(AUTHENTICATING))

# What the database, or the way to it or to the accounts, raises when it does not answer.
UNAVAILABLE = (Error, psycopg.Error, OSError, AuthenticationUnavailable, NotMigrated, RoleRefused)


@login_not_required
@never_atomic
async def realtime(request: HttpRequest) -> HttpResponseBase:
    """Stream the changes of the tables that the request names, of the rows that its user may see."""
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])
    try:
        with opening():
            return await _answer(request)
    except SuspiciousOperation:  # More parameters than Django takes.
        return _error(400, "malformed query")
    except Unauthenticated as error:
        return _error(401, error.message)
    except CrossSiteRequest:
        return _error(403, "cross-site request")
    except UnknownTable as error:
        known = f". Streamed are: {', '.join(error.streamed) or 'none'}" if settings.DEBUG else ""
        return _error(400, f"{error}{known}")
    except InvalidIdentity as error:
        logger.error("no stream can be opened: %s", error)
        return _error(500, "invalid identity")
    except UNAVAILABLE as error:
        logger.error("no stream can be opened: %s", error)
        return _unavailable(request)


async def _answer(request: HttpRequest) -> HttpResponseBase:
    # Read before authentication: a malformed query is refused first, as the protocol orders its refusals.
    parameter = request.GET.get("tables", "")
    authenticated = await _authenticate(request)
    names = _table_names(parameter)
    if names is None:
        return _error(400, "tables parameter is required")
    if not names:
        return _error(400, "at least one valid table is required")
    if not isinstance(request, ASGIRequest):
        return _error(500, "streaming not supported")
    hub = await get_hub()
    tables = await hub.resolve(names)
    subscriber = await hub.subscribe(
        authenticated.identity,
        tables,
        resume=_last_event_id(request),
        expires_at=authenticated.expires_at,
        proofs=authenticated.proofs,
    )
    return _response(request, EventStream(hub, subscriber), subscriber.client_id)


def _table_names(parameter: str) -> list[str] | None:
    """Return the names in the ``tables`` parameter, each once; None if there is no parameter."""
    if not parameter:
        return None
    stripped = (name.strip() for name in parameter.split(","))
    return list(dict.fromkeys(name for name in stripped if name))


def _last_event_id(request: HttpRequest) -> str:
    # Polyfills send lastEventId when they come back to an address that may still have the last_event_id of a page.
    parameters = request.GET.get("lastEventId") or request.GET.get("last_event_id", "")
    return request.headers.get("Last-Event-ID") or parameters


def _response(request: ASGIRequest, stream: EventStream, token: str) -> StreamingHttpResponse:
    """Respond with a stream; if it can leave Django, hand it over, and show middleware an empty stream in its place."""
    handover: Handover | None = request.scope.get(asgi.KEY)
    if handover is None:
        return StreamingHttpResponse(stream, headers=STREAM_HEADERS)
    return StreamingHttpResponse(_nothing(), headers={**STREAM_HEADERS, **handover.offer(stream, token)})


async def _nothing() -> AsyncIterator[bytes]:
    """Return an empty asynchronous body."""
    return
    yield b""


def _unavailable(request: HttpRequest) -> HttpResponse:
    """Answer while the database does not.

    A browser's EventSource never reconnects after any status but 200. It does after a stream that ends, so it gets one.
    """
    if "text/event-stream" not in request.headers.get("Accept", ""):
        return _error(503, "database unavailable")
    milliseconds = conf.retry_milliseconds * random.uniform(1, 2)  # noqa: S311 - so that not all come at once
    return HttpResponse(sse.retry(round(milliseconds)), headers=STREAM_HEADERS)


def _error(code: int, message: str) -> JsonResponse:
    return JsonResponse({"code": code, "message": message}, status=code)
