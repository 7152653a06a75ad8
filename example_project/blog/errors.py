"""Every failure is ``{"code": N, "message": "..."}``, as the AYB JavaScript SDK reads it."""

from typing import Any

from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

MESSAGES = {
    exceptions.NotAuthenticated: "authentication required",
    exceptions.AuthenticationFailed: "invalid or expired token",
    exceptions.ParseError: "invalid JSON body",
    exceptions.MethodNotAllowed: "method not allowed",
    Http404: "record not found",
}


def answer(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer the errors that REST framework handles. The setting EXCEPTION_HANDLER names this function."""
    response: Response | None = exception_handler(error, context)
    if response is not None:
        known = next((text for kind, text in MESSAGES.items() if isinstance(error, kind)), None)
        response.data = {"code": response.status_code, "message": known or first(getattr(error, "detail", ""))}
    return response


def first(detail: Any) -> str:
    """Return the first of a serializer's messages, with the name of its field."""
    if isinstance(detail, dict):
        name, messages = next(iter(detail.items()))
        return first(messages) if name == "non_field_errors" else f"{name}: {first(messages)}"
    return first(detail[0]) if isinstance(detail, list) else str(detail)
