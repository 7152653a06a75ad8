"""Streams that leave Django: what is sent in place of its response, and what happens if that names no stream."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

import pytest
import pytest_asyncio
from asgiref.testing import ApplicationCommunicator
from channels.routing import ProtocolTypeRouter
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime import precedence
from ayb_realtime.access.credentials import Credentials
from ayb_realtime.asgi import HEADER, KEY, Application, Realtime
from ayb_realtime.hub.hub import Hub

# It has no types.
Communicator: Any = ApplicationCommunicator

GetResponse = Callable[[HttpRequest], HttpResponseBase]
# What the test's middleware does with a response.
changes: list[Callable[[HttpResponseBase], HttpResponseBase]] = []


def middleware(get_response: GetResponse) -> GetResponse:
    """Apply the test's function to a response."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        for change in changes:
            response = change(response)
        return response

    return answer


@pytest.fixture(autouse=True)
def with_middleware(settings: Any) -> Any:
    """Answer through the test's middleware."""
    settings.MIDDLEWARE = [f"{__name__}.middleware", *settings.MIDDLEWARE]
    yield
    changes.clear()


@pytest_asyncio.fixture
async def scope(the_hub: Hub) -> dict[str, Any]:
    """The scope of a request for a stream, by a user with an account."""
    user = await get_user_model().objects.acreate(email="somebody@example.com")
    query = f"tables=posts&token={AccessToken.for_user(user)}".encode()
    return {
        "type": "http",
        "method": "GET",
        "path": "/api/realtime",
        "query_string": query,
        "headers": [(b"host", b"testserver"), (b"accept-encoding", b"gzip"), (HEADER.lower().encode(), b"x")],
    }


@pytest_asyncio.fixture
async def ask(scope: dict[str, Any]) -> AsyncIterator[Callable[..., Any]]:
    """Request the stream of an application; disconnect afterwards."""
    asked: list[Any] = []

    async def request(application: Application) -> Any:
        communicator = Communicator(application, dict(scope))
        asked.append(communicator)
        await communicator.send_input({"type": "http.request"})
        return communicator

    yield request
    for communicator in asked:
        await gone(communicator)


async def gone(communicator: Any) -> None:
    """Disconnect, and wait until the application is done."""
    communicator.input_queue.put_nowait({"type": "http.disconnect"})
    await done(communicator)


async def done(communicator: Any) -> None:
    """Wait until the application is done. Raises what it raises."""
    async with asyncio.timeout(30):
        await communicator.future


async def output(communicator: Any) -> Any:
    """Return the next message that is sent."""
    return await communicator.receive_output(30)


def wrapped() -> Any:
    """The site as in the documentation."""
    return Realtime(get_asgi_application())


APPLICATIONS: dict[str, Callable[[], Application]] = {
    "alone": wrapped,
    "twice": lambda: Realtime(wrapped()),
    "around the static files": lambda: Realtime(ASGIStaticFilesHandler(get_asgi_application())),
    "within the static files": lambda: ASGIStaticFilesHandler(wrapped()),
    "within a router": lambda: ProtocolTypeRouter({"http": wrapped()}),
    "around a router": lambda: Realtime(ProtocolTypeRouter({"http": get_asgi_application()})),
}


@pytest.mark.parametrize("application", APPLICATIONS.values(), ids=APPLICATIONS)
async def test_stream_has_the_headers_of_middleware_and_not_its_name(
    ask: Callable[..., Any], the_hub: Hub, application: Callable[[], Application]
) -> None:
    communicator = await ask(application())
    start, first = await output(communicator), await output(communicator)
    headers = dict(start["headers"])
    assert start["status"] == 200
    assert headers[b"content-type"] == b"text/event-stream"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert not {HEADER.lower().encode(), b"content-length", b"etag"} & headers.keys()
    assert first["body"].startswith(b"retry: 2000\nid: ")
    assert first["more_body"]
    next(iter(the_hub.live_subscribers)).push(b"event\n\n")
    assert (await output(communicator))["body"] == b"event\n\n"


async def test_middleware_sees_a_streaming_response_as_without_the_wrapper(ask: Callable[..., Any]) -> None:
    seen: list[HttpResponseBase] = []

    def look(response: HttpResponseBase) -> HttpResponseBase:
        seen.append(response)
        return response

    changes.append(look)
    for application in (get_asgi_application(), wrapped()):
        await output(await ask(application))
    without, response = seen
    assert isinstance(response, StreamingHttpResponse)
    assert response.is_async
    assert response.headers.pop(HEADER)
    assert response.headers == without.headers


async def test_stream_that_ends_ends_its_response(ask: Callable[..., Any], the_hub: Hub) -> None:
    communicator = await ask(wrapped())
    await output(communicator)
    await output(communicator)
    next(iter(the_hub.live_subscribers)).end(b"last")
    assert await output(communicator) == {"type": "http.response.body", "body": b"last", "more_body": True}
    assert await output(communicator) == {"type": "http.response.body", "body": b""}
    await done(communicator)
    assert not the_hub.live_subscribers


async def test_client_that_goes_leaves_the_hub(ask: Callable[..., Any], the_hub: Hub) -> None:
    communicator = await ask(wrapped())
    await output(communicator)
    assert len(the_hub.live_subscribers) == 1
    await gone(communicator)
    assert not the_hub.live_subscribers


async def test_stream_goes_on_where_the_server_takes_a_cancelled_receive_for_a_disconnect(
    scope: dict[str, Any], the_hub: Hub
) -> None:
    parts: asyncio.Queue[Any] = asyncio.Queue()
    sent: asyncio.Queue[Any] = asyncio.Queue()
    is_cancelled = False

    async def receive() -> Any:  # as gunicorn's worker does
        nonlocal is_cancelled
        try:
            return {"type": "http.disconnect"} if is_cancelled else await parts.get()
        except asyncio.CancelledError:
            is_cancelled = True
            raise

    parts.put_nowait({"type": "http.request"})
    async with asyncio.timeout(30):
        answering = asyncio.create_task(wrapped()(scope, receive, sent.put))
        for _ in ("start", "connected"):
            await sent.get()
        next(iter(the_hub.live_subscribers)).push(b"event\n\n")
        assert (await sent.get())["body"] == b"event\n\n"
        assert not is_cancelled
        parts.put_nowait({"type": "http.disconnect"})
        await answering
    assert not the_hub.live_subscribers


async def test_client_that_goes_before_django_is_done_leaves_the_hub(ask: Callable[..., Any], the_hub: Hub) -> None:
    loop = asyncio.get_running_loop()
    here: list[Any] = []

    def go(response: HttpResponseBase) -> HttpResponseBase:
        assert len(the_hub.live_subscribers) == 1
        loop.call_soon_threadsafe(here[0].input_queue.put_nowait, {"type": "http.disconnect"})
        return response

    changes.append(go)
    here.append(await ask(wrapped()))
    await done(here[0])
    assert not the_hub.live_subscribers


def replaced(_: HttpResponseBase) -> HttpResponseBase:
    """Answer something else."""
    return HttpResponse("no", status=403)


def forged(_: HttpResponseBase) -> HttpResponseBase:
    """Answer with a name that no stream has."""
    return HttpResponse("no", status=403, headers={HEADER: "x"})


@pytest.mark.parametrize("change", [replaced, forged])
async def test_replaced_response_goes_out_and_the_stream_leaves_the_hub(
    ask: Callable[..., Any], the_hub: Hub, change: Callable[[HttpResponseBase], HttpResponseBase]
) -> None:
    changes.append(change)
    communicator = await ask(wrapped())
    assert (await output(communicator))["status"] == 403
    assert (await output(communicator))["body"] == b"no"
    await done(communicator)
    assert not the_hub.live_subscribers


async def test_application_that_fails_behind_the_view_leaves_the_hub(scope: dict[str, Any], the_hub: Hub) -> None:
    application = get_asgi_application()

    async def failing(*given: Any) -> None:
        await application(*given)
        assert len(the_hub.live_subscribers) == 1
        raise RuntimeError("too late")

    communicator = Communicator(Realtime(failing), scope)
    await communicator.send_input({"type": "http.request"})
    with pytest.raises(RuntimeError, match="too late"):
        await done(communicator)
    assert not the_hub.live_subscribers


@pytest.mark.parametrize("scope", [{"type": "websocket"}, {"type": "http", KEY: object()}])
async def test_what_is_no_request_or_is_wrapped_already_passes_through(scope: dict[str, Any]) -> None:
    seen: list[Any] = []

    async def application(*given: Any) -> None:
        seen.append(given)

    given: tuple[Any, ...] = (scope, object(), object())
    await Realtime(application)(*given)
    assert seen == [given]
    assert seen[0][0] is scope


class Held:
    """What a request sets, and may not leave behind."""


held: ContextVar[Held | None] = ContextVar("held")


async def test_streams_do_not_keep_what_their_requests_have_set(ask: Callable[..., Any], the_hub: Hub) -> None:
    application = get_asgi_application()
    kept: list[weakref.ref[Held]] = []

    async def setting(scope: Any, receive: Any, send: Any) -> None:
        held.set(value := Held())
        kept.append(weakref.ref(value))
        await application(scope, receive, send)

    # Psycopg's timers keep a context for a tenth of a second. A task or a thread of the process may have begun in one.
    async with asyncio.timeout(20):
        while all(each() is not None for each in kept):
            communicator = await ask(Realtime(setting))
            await output(communicator)
            await output(communicator)
            gc.collect()
    assert len(the_hub.live_subscribers) == len(kept)


async def test_streams_do_not_keep_the_token_of_their_request(ask: Callable[..., Any], the_hub: Hub) -> None:
    gc.collect()
    before = {id(each) for each in gc.get_objects() if type(each) is Credentials}
    communicator = await ask(Realtime(get_asgi_application()))
    await output(communicator)
    await output(communicator)
    assert the_hub.live_subscribers
    gc.collect()
    assert {id(each) for each in gc.get_objects() if type(each) is Credentials} <= before


async def test_what_another_request_has_set_is_seen_around_the_wrapper() -> None:
    async def setting(*_: Any) -> None:
        held.set(Held())

    async def unused(*_: Any) -> Any:
        raise AssertionError

    held.set(None)
    await Realtime(setting)({"type": "http"}, unused, unused)
    assert held.get()


async def test_request_for_a_stream_waits_while_a_change_is_delivered_and_others_do_not(
    ask: Any, scope: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precedence, "PATIENCE_SECONDS", 600)
    begun: list[str] = []
    django = get_asgi_application()

    async def noting(scope: dict[str, Any], *channels: Any) -> None:
        begun.append(scope["path"])
        await django(scope, *channels)

    application = Realtime(noting)
    assert (await (await ask(application)).receive_output(30))["status"] == 200
    with precedence.delivering():
        waiting = await ask(application)
        scope["path"] = "/elsewhere"
        assert (await (await ask(application)).receive_output(30))["status"] == 404
        assert begun == ["/api/realtime", "/elsewhere"]
    assert (await waiting.receive_output(30))["status"] == 200
