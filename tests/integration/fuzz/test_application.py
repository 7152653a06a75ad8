"""Any request to the whole application, in process, has one of the documented answers."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from ayb_realtime.hub.lifetime import refreshing
from example_project.asgi import application
from tests.fuzz import described, inputs, several
from tests.fuzz.requests import Request, any_requests
from tests.integration.fuzz.conftest import Honest
from tests.integration.fuzz.test_bytes import read


async def answer(request: Request) -> tuple[int, str, bytes]:
    """Make a request; return the status, the content type and the body, but of a stream only its beginning."""
    sent: list[Mapping[str, Any]] = []
    has_enough = asyncio.Event()
    incoming = iter([{"type": "http.request", "body": request.body}])

    async def receive() -> Mapping[str, Any]:
        for message in incoming:
            return message
        await has_enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            has_enough.set()

    await application(request.scope(), receive, send)
    headers = {name.lower(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], headers.get(b"content-type", ""), body


@given(drawn=several(any_requests))
@inputs("requests in process")
async def test_any_request_is_answered_and_harms_no_open_stream(
    honest: Honest, monkeypatch: pytest.MonkeyPatch, drawn: list[Request]
) -> None:
    # No other process answers.
    monkeypatch.setattr(refreshing, "ANSWER_SECONDS", 0.01)
    for request, (status, content_type, body) in zip(drawn, await asyncio.gather(*map(answer, drawn)), strict=True):
        described.check(request.method, request.path, status, content_type, body)
        if content_type == "text/event-stream":
            assert [event.event for event in read(body)][:1] in ([], ["connected"], ["reset"]), body
