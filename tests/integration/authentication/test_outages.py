"""Credentials that cannot be checked now are no refusal."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError
from jwt import PyJWKClient
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.state import token_backend
from rest_framework_simplejwt.tokens import AccessToken

from embedded import free_port


class Away(BaseAuthentication):  # type: ignore[misc]  # REST framework has no types
    """A class whose database does not answer."""

    def authenticate(self, request: Any) -> Any:
        """Raise an error that hides its cause, as some classes do."""
        try:
            raise OperationalError("no answer")
        except OperationalError as error:
            raise AuthenticationFailed from error


async def test_credentials_that_cannot_be_checked_now_are_no_refusal(
    get: Callable[..., Any], settings: Any, transactional_db: None, caplog: pytest.LogCaptureFixture
) -> None:
    settings.AYB_REALTIME = {"AUTHENTICATION_CLASSES": [Away]}
    assert await get(token="x") == (503, None)
    assert await get({"Accept": "text/event-stream"}, token="x") == (200, None)
    lines = [record.message for record in caplog.records if record.name == "ayb_realtime.refusals"]
    assert len(lines) == 2
    assert all(line.startswith("no stream can be opened: ") for line in lines)


class KeyServer:
    """A server that answers with these bytes."""

    def __init__(self) -> None:
        self.answer = b""
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(server.answer)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    keys = KeyServer()
    serving = threading.Thread(target=keys.server.serve_forever)
    serving.start()
    yield keys
    keys.server.shutdown()
    keys.server.server_close()
    serving.join()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (None, 503),
        (b"<html>Bad Gateway</html>", 503),
        (b'{"keys": []}', 503),
        (b'{"keys": [{"kty": "oct", "kid": "another", "k": "c2VjcmV0"}]}', 401),
    ],
)
async def test_key_server_that_is_away_is_no_refusal(
    get: Callable[..., Any],
    user: Any,
    key_server: KeyServer,
    monkeypatch: pytest.MonkeyPatch,
    answer: bytes | None,
    status: int,
) -> None:
    key_server.answer = answer or b""
    address = key_server.address if answer else f"http://127.0.0.1:{free_port()}/"
    token = str(AccessToken.for_user(user))
    monkeypatch.setattr(token_backend, "algorithm", "RS256")
    monkeypatch.setattr(token_backend, "jwks_client", PyJWKClient(address))
    assert await get(token=token) == (status, None)
