"""A server with open streams answers any bytes."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from tests.example import AUTHOR, Example
from tests.fuzz import UNLIMITED, described, inputs
from tests.fuzz.requests import Request, any_requests

SCHEMA = schemathesis.openapi.from_dict(described.DESCRIPTION)
OPERATIONS: list[Any] = [each.ok() for each in SCHEMA.get_all_operations() if isinstance(each, Ok)]
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

# What the server itself answers, before the site is asked.
ITS_OWN = {400, 413, 414, 431}


@pytest.fixture
def served(seeded_url: str, tmp_path: Path) -> Iterator[Example]:
    """The example, with an honest stream that receives its change in the end."""
    limits = json.dumps(UNLIMITED)
    example = Example(seeded_url, tmp_path, DJANGO_SETTINGS_MODULE="tests.limited", LIMITS=limits)
    example.start()
    try:
        with honest_stream(example):
            yield example
        assert example.stop() == 0
    finally:
        example.kill()
    assert "Traceback" not in example.log()


@contextmanager
def honest_stream(example: Example) -> Iterator[None]:
    """Keep a stream open; at the end, wait for its change."""
    query = {"tables": "posts", "token": example.token(AUTHOR)}
    with httpx.stream("GET", f"{example.address}/api/realtime", params=query, timeout=60) as response:
        lines = response.iter_lines()
        while "clientId" not in next(lines):
            pass
        yield
        example.add_post("honest", published=True)
        while '"honest"' not in next(lines):
            pass


def answer(example: Example, sent: bytes) -> tuple[int, str, bytes]:
    """Send this; return the status, the content type and the body, but of a stream only its beginning."""
    with socket.create_connection(("127.0.0.1", example.port), timeout=60) as connection:
        connection.sendall(sent)
        read = b""
        while chunk := connection.recv(65536):
            read += chunk
            if b"\r\n\r\n" in read and b"text/event-stream" in read:
                break
    head, _, body = read.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.[01] (\d{3})", head)
    assert status, (sent, read)
    content_type = re.search(rb"(?im)^content-type: *(.*?)\r?$", head)
    return int(status[1]), content_type[1].decode() if content_type else "", body


def test_any_bytes_are_answered(served: Example) -> None:
    # Of this type, a line end to Python, Twisted can read no form, and it would drop the connection.
    odd = Request("POST", "/api/auth/logout", headers=((b"content-type", b"a\x85b"),), body=b"{}")
    assert answer(served, odd.written())[0] == 400

    @given(any_requests)
    @inputs("raw requests", together=1)
    def send(request: Request) -> None:
        status, content_type, body = answer(served, request.written())
        if status not in ITS_OWN:
            described.check(request.method, request.path, status, content_type, body)

    send()


def test_requests_of_the_description_are_answered_as_it_says(served: Example) -> None:
    token = served.token(AUTHOR)
    drawn = [each.as_strategy(generation_mode=mode) for each in OPERATIONS for mode in GenerationMode]

    @given(st.one_of(drawn), st.booleans())
    @inputs("described requests", together=1)
    def send(case: Any, is_authenticated: bool) -> None:
        sent = case.as_transport_kwargs(base_url=served.address)
        sent["headers"]["Connection"] = "close"
        if is_authenticated:
            sent["headers"]["Authorization"] = f"Bearer {token}"
        try:
            response = requests.request(**sent, stream=True, timeout=60)
        except (requests.exceptions.InvalidHeader, UnicodeError):  # A client cannot send it.
            return
        with response:
            is_the_servers_own = response.status_code in ITS_OWN and "Content-Type" not in response.headers
            if response.headers.get("Content-Type") != "text/event-stream" and not is_the_servers_own:
                case.validate_response(response, checks=CHECKS)

    send()
