"""``GET /api/realtime``: authenticate, resolve the tables, subscribe, stream.

And two POSTs: one refreshes a stream, the other gives out a ticket for one.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_not_required
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from ayb_realtime import asgi
from ayb_realtime.access import credentials, tickets
from ayb_realtime.access.limits import Place, check_request, check_user
from ayb_realtime.access.tickets import Held
from ayb_realtime.access.user_lookup import let_others_come, waiting
from ayb_realtime.asgi import Handover
from ayb_realtime.authentication import Authenticated, authenticate
from ayb_realtime.conf import conf
from ayb_realtime.exceptions import LimitReached, Unauthenticated
from ayb_realtime.filters import parse, values_of
from ayb_realtime.hub.admission import Wanted, listed
from ayb_realtime.hub.hub import Hub
from ayb_realtime.hub.registry import get_hub, opening
from ayb_realtime.hub.streams.buffer import waiting as waiting_bytes
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.outages import never_atomic
from ayb_realtime.postgres.threads import ConnectionThreads
from ayb_realtime.refusals import STREAM_HEADERS, or_refusal, refusal
from ayb_realtime.sinks import Sink

# How many requests are authenticated at a time, and so how many of Django's connections are used.
AUTHENTICATING = 4


class EventStream:
    """A subscriber as the body of a response, which leaves the hub when the response is closed."""

    __slots__ = ("_hub", "_loop", "_place", "_subscriber")

    def __init__(self, hub: Hub, subscriber: Subscriber, place: Place) -> None:
        self._hub = hub
        self._subscriber = subscriber
        self._place = place
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> Subscriber:
        return self._subscriber

    def write_to(self, sink: Sink) -> None:
        """Let chunks go to this while the response waits for one."""
        self._subscriber.sink = sink

    def leave(self) -> None:
        """Leave the hub. May be called again."""
        self._hub.leave(self._subscriber)
        self._place.leave()

    def close(self) -> None:
        """Leave the hub. Django calls this in another thread, once the client has gone."""
        with suppress(RuntimeError):  # The event loop, and the hub with it, may be gone already.
            self._loop.call_soon_threadsafe(self.leave)


# Not in the request's own thread: that thread and its connection could stay open as long as the stream.
_threads = ConnectionThreads(AUTHENTICATING)
_authenticate = sync_to_async(authenticate, thread_sensitive=False, executor=_threads)
_make_ticket = sync_to_async(tickets.make, thread_sensitive=False, executor=_threads)


@login_not_required
@never_atomic
async def realtime(request: HttpRequest) -> HttpResponseBase:
    """Stream the changes of the tables that the request names, of the rows that its user may see."""
    credentials.hide_in(request)
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])
    with opening(), Place() as place:
        return await or_refusal(request, _open(request, place), "opened")


@csrf_exempt
@login_not_required
@never_atomic
async def refresh(request: HttpRequest, client_id: str) -> HttpResponseBase:
    """Let an open stream go on until the request's credentials expire."""
    credentials.hide_in(request)
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    return await or_refusal(request, _refresh(request, client_id), "refreshed")


@csrf_exempt
@login_not_required
@never_atomic
async def ticket(request: HttpRequest) -> HttpResponseBase:
    """Give out a ticket, which opens one stream as the user of this request."""
    credentials.hide_in(request)
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    return await or_refusal(request, _give_ticket(request), "opened by a ticket")


async def _open(request: HttpRequest, place: Place) -> HttpResponseBase:
    since = time.monotonic()
    check_request(request)
    place.take_of_address(request)
    # Read before authentication: a malformed query is refused first, as the protocol orders its refusals.
    parameter = request.GET.get("tables", "")
    authenticated = await _authenticated(request)
    place.take_of_user(authenticated.party)
    if not (names := listed(parameter)):
        return refusal(400, "at least one valid table is required" if parameter else "tables parameter is required")
    if len(names) > (most := conf.limits["tables"]):
        raise LimitReached("tables", 400, f"tables: more than {most:g}")
    if (snapshot := request.GET.get("snapshot", "false")) not in ("true", "false"):
        return refusal(400, "snapshot: true or false")
    if (events := request.GET.get("events")) not in (None, "named"):
        return refusal(400, "events: named")
    if not isinstance(request, ASGIRequest):
        return refusal(500, "streaming not supported")
    filters = parse(request.GET.getlist("filter"), names)
    place.take_of_filters(request, authenticated.party, values_of(filters))
    hub = await get_hub()
    waiting_bytes.limit_bytes = conf.limits["waiting_bytes"]
    subscriber = await hub.subscribe(
        authenticated.identity,
        names,
        resume=_last_event_id(request),
        snapshot=snapshot == "true",
        wanted=Wanted(tuple(listed(request.GET.get("fields", ""))), is_named=events == "named", filters=filters),
        expires_at=authenticated.expires_at,
        proofs=authenticated.proofs,
    )
    hub.refreshing.disconnecting.end_if_late(subscriber, since)
    return _response(request, EventStream(hub, subscriber, place.hand_over()), subscriber.client_id)


async def _refresh(request: HttpRequest, client_id: str) -> HttpResponseBase:
    check_request(request)
    given = await _authenticated(request)
    if not isinstance(request, ASGIRequest):
        return refusal(500, "streaming not supported")
    hub = await get_hub()
    is_granted = await hub.refreshing.ask(client_id, given.identity, given.proofs, given.expires_at)
    if is_granted is None:
        return refusal(404, "no such stream")
    if not is_granted:
        return refusal(403, "the stream is of another user or other credentials: open another one")
    return HttpResponse(status=204)


async def _give_ticket(request: HttpRequest) -> HttpResponseBase:
    check_request(request)
    given = await _authenticated(request)
    if given.user is None:  # A ticket makes no other one.
        raise Unauthenticated("authentication required")
    made = await _make_ticket(Held(given.identity, given.expires_at, given.proofs))
    return JsonResponse({"ticket": made, "expiresIn": tickets.SECONDS}, headers={"Cache-Control": "no-store"})


async def _authenticated(request: HttpRequest) -> Authenticated:
    with waiting(request), credentials.out_of_reports():
        await let_others_come()
        authenticated = await _authenticate(request)
    check_user(request, authenticated.party)
    return authenticated


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
