"""JSON in, JSON out: what the accounts views share. Every failure is ``{"code": N, "message": "..."}``.

What must always hold: no setting of the site's ``REST_FRAMEWORK`` changes what a client reads, and the views only ever
get a JSON object as a request's body.
"""

import json
import logging
import re
from http import HTTPStatus
from math import ceil
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse, JsonResponse
from rest_framework.exceptions import APIException, MethodNotAllowed
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from ayb_realtime.access import credentials
from ayb_realtime.conf import conf
from ayb_realtime.exceptions import AuthenticationUnavailable, Unauthenticated
from ayb_realtime.outages import is_unavailable

logger = logging.getLogger(__name__)

# What no report of a request may show of its body.
SECRETS = frozenset({"password", "refreshToken"})
SURROGATE = re.compile("[\ud800-\udfff]")


class Refusal(APIException):  # type: ignore[misc]  # REST framework has no types
    """A request that is answered with an error body."""

    def __init__(self, code: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.wait: int | None = None
        self.status_code = int(code)


class JSONView(APIView):  # type: ignore[misc]  # REST framework has no types
    """A view that reads and writes JSON, whatever content type a request has. Its throttles are the site's own."""

    http_method_names = ("post",)
    authentication_classes = ()
    permission_classes = ()
    versioning_class = None

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Let no cache keep a token."""
        return {"Allow": ", ".join(self.allowed_methods), "Cache-Control": "no-store"}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Read the body, and hide what is secret in it from what reports the request, such as Sentry."""
        _hide_secrets(request._request)  # noqa: SLF001 - there is no other way to it
        super().initial(request, *args, **kwargs)

    def perform_content_negotiation(self, _: Request, force: bool = False) -> tuple[JSONRenderer, str]:
        """Ignore which types the client accepts."""
        return JSONRenderer(), JSONRenderer.media_type

    def http_method_not_allowed(self, request: Request, *_: Any, **__: Any) -> HttpResponse:
        """Refuse a method."""
        raise MethodNotAllowed(request.method, "method not allowed")

    def handle_exception(self, error: Exception) -> HttpResponse:
        """Answer with the error body of the wire protocol."""
        if isinstance(error, Unauthenticated):
            error = Refusal(HTTPStatus.UNAUTHORIZED, error.message)
        elif not isinstance(error, APIException):
            if not (isinstance(error, AuthenticationUnavailable) or is_unavailable(error)):
                credentials.forget(error)
                raise error
            logger.error("credentials cannot be checked now: %s", error, extra={"event_name": "credentials_unchecked"})
            error = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "credentials cannot be checked now")
            error.wait = ceil(conf.retry_milliseconds / 1000)
        body = {"code": error.status_code, "message": str(error.detail)}
        wait = getattr(error, "wait", None)  # Seconds.
        return JsonResponse(body, status=error.status_code, headers={"Retry-After": str(wait)} if wait else {})


class _Body:
    """A request's body as a value. What shows this object does not show it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _hide_secrets(request: Any) -> None:
    """Keep the body apart, and leave in the request one whose secrets are hidden."""
    try:
        body = json.loads(request.body)
        if isinstance(body, dict) and not SECRETS.isdisjoint(body):
            hidden = {**body, **dict.fromkeys(SECRETS & body.keys(), credentials.HIDDEN)}
            request._body = json.dumps(hidden).encode()  # noqa: SLF001 - Django documents no other way
    except (ValueError, RecursionError, RequestDataTooBig):
        body = None
    request.ayb_realtime_body = _Body(body)


def json_object(request: Request) -> dict[str, Any]:
    """Return the request's body, a JSON object. Raises ``Refusal`` (400) for anything else."""
    body: Any = request._request.ayb_realtime_body.value  # noqa: SLF001 - ``initial`` has put it there
    if not isinstance(body, dict):
        raise invalid_body()
    return body


def text_field(body: dict[str, Any], name: str) -> str:
    """Return a string of the body, ``""`` where it is absent or null.

    Raises ``Refusal`` (400) for another type, and for a lone surrogate, which UTF-8 cannot encode.
    """
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or SURROGATE.search(value):
        raise invalid_body()
    return value


def invalid_body() -> Refusal:
    """Return the refusal of a body that is not JSON of the expected shape."""
    return Refusal(HTTPStatus.BAD_REQUEST, "invalid JSON body")
