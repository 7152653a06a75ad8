"""What Sentry and OpenTelemetry are told of requests holds no token, ticket, password or session."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from example_project.blog.demo import PASSWORD, Account
from tests.example import AUTHOR, COLLEAGUE, MANAGE, Example, answers

PARTS = """
from rest_framework_simplejwt.authentication import JWTAuthentication

from ayb_realtime.identity import default_identity


def middleware(get_response):
    def answer(request):
        if request.headers.get("X-Fail") == "middleware":
            raise RuntimeError("middleware")
        return get_response(request)

    return answer


class Authentication(JWTAuthentication):
    def get_user(self, token):
        if token.get("fail") == "class":
            raise RuntimeError("class")
        return super().get_user(token)


def identity(user, claims):
    if claims.get("fail") == "identity":
        raise RuntimeError("identity")
    return default_identity(user, claims)


def rule(user):
    if user.email == {failing!r}:
        raise RuntimeError("rule")
    return user.is_active
"""
SITE = """
import json
import os

import sentry_sdk
from django.core.asgi import get_asgi_application
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.transport import Transport

from ayb_realtime.asgi import Realtime


class ToFile(Transport):
    def capture_envelope(self, envelope):
        with open("{folder}/envelopes", "ab") as file:
            file.write(envelope.serialize())


sentry_sdk.init(
    "http://key@127.0.0.1/1",
    transport=ToFile,
    traces_sample_rate=1.0,
    enable_logs=True,
    **json.loads(os.environ["SENTRY"]),
)
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=open("{folder}/spans", "w", buffering=1))))
trace.set_tracer_provider(provider)
DjangoInstrumentor().instrument()
application = Realtime(OpenTelemetryMiddleware(SentryAsgiMiddleware(get_asgi_application())))
"""
SETTINGS = """
from example_project.settings import *

MIDDLEWARE = ["telemetry_parts.middleware", "django.contrib.sessions.middleware.SessionMiddleware", *MIDDLEWARE]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
AYB_REALTIME = {
    **AYB_REALTIME,
    "AUTHENTICATION_CLASSES": ["telemetry_parts.Authentication"],
    "IDENTITY": "telemetry_parts.identity",
}
SIMPLE_JWT = {**SIMPLE_JWT, "USER_AUTHENTICATION_RULE": "telemetry_parts.rule"}
"""
# By default, and where a site lets it send all it can.
OPTIONS = {"by default": "{}", "personal": '{"send_default_pii": true, "attach_stacktrace": true}'}


@pytest.fixture(params=OPTIONS)
def site(seeded_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Example]:
    """The example with both, each around Django and within ``Realtime``."""
    (tmp_path / "telemetry_parts.py").write_text(PARTS.replace("{failing!r}", repr(COLLEAGUE.email)))
    (tmp_path / "telemetry_site.py").write_text(SITE.replace("{folder}", str(tmp_path)))
    (tmp_path / "telemetry_settings.py").write_text(SETTINGS)
    paths = os.pathsep.join([str(tmp_path), str(MANAGE.parent)])
    environment = {"SENTRY": OPTIONS[request.param], "DEBUG": "0", "PYTHONPATH": paths}
    example = Example(seeded_url, tmp_path, DJANGO_SETTINGS_MODULE="telemetry_settings", **environment)
    example.server = example.run("-m", "uvicorn", "telemetry_site:application", "--port", str(example.port))
    try:
        example.server.wait_until(lambda: answers(example.address))
        yield example
    finally:
        example.stop()


def token_of(account: Account, kind: type[Token] = AccessToken, **claims: str) -> str:
    """Return a token with these claims."""
    token = kind()
    token.payload.update(claims, user_id=str(account.id))
    return str(token)


class Client(httpx.Client):
    """Makes requests, and notes what is secret in them.

    secrets: none of which may be told.
    """

    def __init__(self, address: str) -> None:
        self.secrets = ["correct horse", "session-of-a-user"]
        cookies = {"sessionid": "session-of-a-user"}
        super().__init__(base_url=address, timeout=60, cookies=cookies)

    def status(self, method: str, path: str, query: dict[str, str], headers: dict[str, str] | None = None) -> int:
        """Make a request; return the status."""
        with self.stream(method, path, params=query, headers=headers) as response:
            next(response.iter_bytes(), b"")
            return response.status_code

    def statuses(self, token: str, **headers: str) -> set[int]:
        """Open streams with a token in the query, and in the header; return the statuses."""
        self.secrets += [token, token.rpartition(".")[2]]
        by_header = {**headers, "Authorization": f"Bearer {token}"}
        return {
            self.status("GET", "/api/realtime", {"tables": "posts", "token": token}, headers),
            self.status("GET", "/api/realtime", {"tables": "posts"}, by_header),
        }

    def ticket(self, token: str) -> str:
        """Return a ticket."""
        (ticket,) = re.findall(r'"ticket": "([^"]+)', self.post("/api/realtime/ticket", params={"token": token}).text)
        self.secrets.append(ticket)
        return str(ticket)

    def account(self, path: str, **body: str) -> httpx.Response:
        """Ask the accounts endpoints, for which tokens are in the body and in the answer."""
        response = self.post(f"/api/auth/{path}", json=body)
        given = {**body, **(response.json() if "json" in response.headers.get("Content-Type", "") else {})}
        self.secrets += [value for name, value in given.items() if "oken" in name]
        return response


def test_nothing_that_they_are_told_has_a_secret_in_it(site: Example, tmp_path: Path) -> None:
    with Client(site.address) as client:
        token = token_of(AUTHOR)
        assert client.statuses(token) == {200}
        assert client.statuses(f"{token}x") == {401}
        for place in ("class", "identity"):
            assert client.statuses(token_of(AUTHOR, fail=place)) == {500}
        assert client.statuses(token, **{"X-Fail": "middleware"}) == {500}
        ticket = client.ticket(token)
        assert [client.status("GET", "/api/realtime", {"tables": "posts", "ticket": ticket}) for _ in "12"] == [
            200,
            401,
        ]
        assert client.status("POST", "/api/realtime/x/token", {"token": token}) == 404
        pair = client.account("login", email=AUTHOR.email, password=PASSWORD).json()
        pair = client.account("refresh", refreshToken=pair["refreshToken"]).json()
        assert client.account("logout", refreshToken=pair["refreshToken"]).status_code == 204
        assert client.account("refresh", refreshToken=pair["refreshToken"]).status_code == 401
        assert client.account("login", email=COLLEAGUE.email, password="correct horse").status_code == 500
        assert client.account("refresh", refreshToken=token_of(COLLEAGUE, RefreshToken)).status_code == 500
    site.stop()
    for name, least in (("envelopes", "RuntimeError"), ("spans", "/api/realtime")):
        told = (tmp_path / name).read_text(errors="replace")
        assert least in told
        assert "***" in told
        assert {secret for secret in client.secrets if secret in told} == set()
