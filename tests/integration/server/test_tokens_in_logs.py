"""What servers log, what errors report and what middleware sees of a request holds no token and no ticket."""

from __future__ import annotations

import os
import quopri
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from rest_framework_simplejwt.tokens import AccessToken

from tests.example import AUTHOR, MANAGE, Example, answers

APPLICATION = "token_site:application"
FORMAT = "%(addr)s %(method)s %(path)s %(query_string)s %(status)d"
COMMANDS = {
    "runrealtime": [str(MANAGE), "runrealtime", "--serve", "127.0.0.1:{port}"],
    "runserver": [str(MANAGE), "runserver", "--noreload", "127.0.0.1:{port}"],
    "uvicorn": ["-m", "uvicorn", APPLICATION, "--port", "{port}"],
    "uvicorn without the wrapper": ["-m", "uvicorn", "token_site:bare", "--port", "{port}"],
    "hypercorn": ["-m", "hypercorn", APPLICATION, "--bind", "127.0.0.1:{port}", "--workers", "0",
                  "--access-logfile", "-", "--access-logformat", "%(R)s %(q)s"],
    "granian": ["-m", "granian", "--interface", "asginl", APPLICATION, "--port", "{port}",
                "--access-log", "--access-log-fmt", FORMAT],
}  # fmt: skip

# A site that logs all it can, mails each error with what its frames hold, and fails wherever a header or a claim says.
PARTS = """
from rest_framework.authentication import BaseAuthentication
from rest_framework_simplejwt.authentication import JWTAuthentication

from ayb_realtime.identity import default_identity


def middleware(get_response):
    def answer(request):
        if request.headers.get("X-Fail") == "middleware":
            raise RuntimeError("middleware")
        return get_response(request)

    return answer


class Failing(BaseAuthentication):
    def authenticate(self, request):
        if request.headers.get("X-Fail") == "class":
            raise RuntimeError("class")


class Tokens(JWTAuthentication):
    def get_user(self, token):
        if token.get("fail") == "user":
            raise RuntimeError("user")
        return super().get_user(token)


def identity(user, claims):
    if claims.get("fail") == "identity":
        raise RuntimeError("identity")
    return default_identity(user, claims)
"""
SITE = """
import logging

from django.core.asgi import get_asgi_application

from ayb_realtime.asgi import Realtime

bare = get_asgi_application()


async def probe(scope, receive, send):
    # What Sentry's and OpenTelemetry's middleware would read.
    logging.getLogger("probe").info("scope %r", scope)
    await bare(scope, receive, send)


application = Realtime(probe)
"""
SETTINGS = """
from example_project.settings import *

DEBUG = True  # Nothing that Django hides from reports in production is hidden.
ADMINS = [("Ann", "ann@example.com")]
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = {mails!r}
MIDDLEWARE = ["token_parts.middleware", *MIDDLEWARE]
ASGI_APPLICATION = "token_site.application"
CLASSES = ["token_parts.Failing", "token_parts.Tokens"]
AYB_REALTIME = {{**AYB_REALTIME, "AUTHENTICATION_CLASSES": CLASSES, "IDENTITY": "token_parts.identity"}}
LOGGING = {{
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {{
        "console": {{"class": "logging.StreamHandler"}},
        "mail": {{"class": "django.utils.log.AdminEmailHandler", "include_html": True, "level": "ERROR"}},
    }},
    "root": {{"handlers": ["console"], "level": "DEBUG"}},
    "loggers": {{"django": {{"handlers": ["mail"], "level": "DEBUG"}}, "asyncio": {{"level": "INFO"}}}},
}}
"""


@contextmanager
def site(database_url: str, folder: Path, arguments: list[str]) -> Iterator[Example]:
    """Serve the site."""
    (folder / "token_parts.py").write_text(PARTS)
    (folder / "token_site.py").write_text(SITE)
    (folder / "token_settings.py").write_text(SETTINGS.format(mails=str(folder / "mails")))
    paths = os.pathsep.join([str(folder), str(MANAGE.parent)])
    example = Example(database_url, folder, DJANGO_SETTINGS_MODULE="token_settings", PYTHONPATH=paths)
    example.server = example.run(*(each.format(port=example.port) for each in arguments))
    try:
        example.server.wait_until(lambda: answers(example.address))
        yield example
    finally:
        example.stop()


def token_that_fails(place: str) -> str:
    """Return a token for which the site's IDENTITY raises an error, or its look-up of the user."""
    token = AccessToken()
    token["user_id"], token["fail"] = str(AUTHOR.id), place
    return str(token)


def requests(client: httpx.Client, token: str, failing: list[str]) -> list[str]:
    """Make requests of every outcome with a token in the query; return the ticket that one gave out, and the bodies."""

    def ask(method: str, path: str, query: dict[str, str], **headers: str) -> str:
        with client.stream(method, path, params=query, headers=headers) as response:
            codes.append(response.status_code)
            return next(response.iter_text(), "")

    codes: list[int] = []
    posts = {"tables": "posts", "token": token}
    ticket = re.findall(r'"ticket": "([^"]+)', ask("POST", "/api/realtime/ticket", {"token": token}))[0]
    bodies = [
        ask("GET", "/api/realtime", posts),
        ask("GET", "/api/realtime", {"tables": "posts", "ticket": ticket}),
        ask("GET", "/api/realtime", {"tables": "posts", "ticket": ticket}),
        ask("GET", "/api/realtime", {"tables": "nothing", "token": token}),
        ask("GET", "/api/realtime", {"tables": "posts", "token": f"{token}x"}),
        ask("PUT", "/api/realtime", posts),
        ask("POST", "/api/realtime/x/token", {"token": token}),
        ask("GET", "/api/realtime", posts, **{"X-Fail": "class"}),
        *(ask("GET", "/api/realtime", {"tables": "posts", "token": each}) for each in failing),
    ]
    assert codes == [200, 200, 200, 401, 400, 401, 405, 404, 500, 500, 500]
    return [ticket, *bodies]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_log_mail_or_page_holds_a_token(seeded_url: str, folder: Path, command: str) -> None:
    with site(seeded_url, folder, COMMANDS[command]) as example:
        token, failing = example.token(AUTHOR), list(map(token_that_fails, ("identity", "user")))
        with httpx.Client(base_url=example.address, timeout=60) as client:
            ticket, *bodies = requests(client, token, failing)
            if "without" not in command:  # What does not reach the view.
                query = {"tables": "posts", "token": token}
                bodies.append(client.get("/api/realtime/", params=query).text)
                bodies.append(client.get("/api/realtime", params=query, headers={"X-Fail": "middleware"}).text)
    mailed = b"".join(mail.read_bytes() for mail in (folder / "mails").iterdir())
    mails = (mailed + quopri.decodestring(mailed)).decode(errors="replace")
    for where in (example.log(), mails, *bodies[-2:]):
        assert "/api/realtime" in where
    assert "token=***" in mails
    tokens = [token, *failing]
    for secret in (*tokens, ticket, *(each.rpartition(".")[2] for each in tokens)):
        assert secret not in "".join([example.log(), mails, *bodies])
