"""Whether an answer is one that openapi.json describes."""

import json
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

import ayb_realtime

FILE = Path(ayb_realtime.__file__).parent / "static" / "ayb_realtime" / "openapi.json"
DESCRIPTION: dict[str, Any] = json.loads(FILE.read_text())
# The same of the events of a stream.
EVENTS: dict[str, Any] = json.loads((FILE.parent / "asyncapi.json").read_text())


def operation(method: str, path: str) -> dict[str, Any] | None:
    """Return what the description has about a path, by method in lower case; None if it has no such path."""
    for template, operations in DESCRIPTION["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path, re.DOTALL):
            found: dict[str, Any] = operations.get(method.lower(), {"responses": {"405": {}}})
            return found
    return None


def check(method: str, path: str, status: int, content_type: str, body: bytes) -> None:
    """Fail unless this answer is described, with a body of the form that it has there."""
    if (found := operation(method, path)) is None:
        assert status == HTTPStatus.NOT_FOUND, status
        return
    assert str(status) in found["responses"], (method, path, status, body)
    assert status != HTTPStatus.INTERNAL_SERVER_ERROR, body
    if status >= 400 and content_type == "application/json" and method != "HEAD":
        answer = json.loads(body)
        assert list(answer) == ["code", "message"]
        assert answer["code"] == status
    elif status == HTTPStatus.OK:
        assert content_type in found["responses"]["200"]["content"]
