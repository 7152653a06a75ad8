"""A WebSocket to a site that has none is refused without an error; a site's own WebSockets are its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.urls import re_path

from ayb_realtime.asgi import Application, Realtime
from tests.example import MANAGE, Example, answers

# They have no types.
Communicator: Any = ApplicationCommunicator
WebSocket: Any = WebsocketCommunicator

UPGRADE = (
    "GET /{} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
COMMANDS = {
    "runrealtime": [str(MANAGE), "runrealtime", "--serve", "127.0.0.1:{port}"],
    "uvicorn": ["-m", "uvicorn", "example_project.asgi:application", "--port", "{port}"],
}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Accept a WebSocket at ``/own``, and fail at ``/fails``."""
    if scope["path"] == "/fails":
        raise ValueError("mine")
    await send({"type": "websocket.accept"})


def router() -> Application:
    """The site's own router, as in Channels' documentation."""
    routes: Any = [re_path("^(own|fails)$", echo)]  # type: ignore[arg-type]
    own: Any = URLRouter(routes)
    return Realtime(ProtocolTypeRouter({"http": get_asgi_application(), "websocket": own}))


async def _passed_on(scope: Any, receive: Any, send: Any) -> None:
    await get_asgi_application()(scope, receive, send)


WITHOUT: dict[str, Callable[[], Application]] = {
    "Django": lambda: Realtime(get_asgi_application()),
    "the static files": lambda: Realtime(ASGIStaticFilesHandler(get_asgi_application())),
    "a middleware": lambda: Realtime(_passed_on),
    "a router without them": lambda: Realtime(ProtocolTypeRouter({"http": get_asgi_application()})),
    "a router with others": router,
}


@pytest.mark.parametrize("application", WITHOUT.values(), ids=WITHOUT)
async def test_where_nothing_serves_it_it_is_refused(application: Callable[[], Application]) -> None:
    scope = {"type": "websocket", "path": "/api/realtime", "query_string": b"tables=posts&token=secret", "headers": []}
    communicator = Communicator(application(), scope)
    await communicator.send_input({"type": "websocket.connect"})
    assert await communicator.receive_output(30) == {"type": "websocket.close"}
    await communicator.wait(30)
    # Servers log it afterwards.
    assert scope["query_string"] == b"tables=posts&token=***"


async def test_site_serves_its_own() -> None:
    own = WebSocket(router(), "/own?token=mine")
    assert await own.connect(30) == (True, None)
    failing = Communicator(router(), {"type": "websocket", "path": "/fails", "query_string": b"", "headers": []})
    with pytest.raises(ValueError, match="mine"):
        await failing.wait(30)


@pytest.mark.parametrize("server", COMMANDS)
def test_servers_refuse_it_without_a_traceback(seeded_url: str, tmp_path: Path, server: str) -> None:
    example = Example(seeded_url, tmp_path, REDIS_URL=os.environ["REDIS_URL"])
    example.server = example.run(*(part.format(port=example.port) for part in COMMANDS[server]))
    try:
        example.server.wait_until(lambda: answers(example.address))
        for target in ("api/realtime?tables=posts&token=se.cr.et", "elsewhere"):
            assert _status(example.port, UPGRADE.format(target)) == 403
        assert answers(example.address)
    finally:
        example.stop()
    assert "Traceback" not in example.log()
    assert "se.cr.et" not in example.log()


def _status(port: int, request: str) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request.encode())
        return int(connection.recv(4096).split()[1])
