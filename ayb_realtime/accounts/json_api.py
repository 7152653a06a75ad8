"""JSON in, JSON out for plain Django views; every failure is ``{"code": N, "message": "..."}``.

Used by the accounts views. What must always hold: no request body, however odd, gets past here as anything but
a JSON object, so the views see dictionaries and strings only.
"""

import functools
import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from ayb_realtime.exceptions import RealtimeError, Unauthenticated

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]

SURROGATE = re.compile("[\ud800-\udfff]")


class Refusal(RealtimeError):
    """A request that is answered with an error body."""

    def __init__(self, code: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def refusal_response(code: HTTPStatus, message: str) -> JsonResponse:
    """Answer with the error body of the wire protocol."""
    return JsonResponse({"code": int(code), "message": message}, status=code)


def endpoint(*methods: str) -> Callable[[View[P]], View[P]]:
    """Make a view a JSON endpoint: 405 for other methods, and an error body for Refusal and Unauthenticated.

    It is exempt from CSRF protection, which guards cookies: these endpoints read none.
    """

    def decorate(view: View[P]) -> View[P]:
        @login_not_required
        @csrf_exempt
        @functools.wraps(view)
        def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if request.method not in methods:
                response = refusal_response(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed")
                response["Allow"] = ", ".join(methods)
                return response
            try:
                return view(request, *args, **kwargs)
            except Refusal as refusal:
                return refusal_response(refusal.code, refusal.message)
            except Unauthenticated as error:
                return refusal_response(HTTPStatus.UNAUTHORIZED, error.message)

        return answer

    return decorate


def json_object(request: HttpRequest) -> dict[str, Any]:
    """Return the request's body, a JSON object. Raises ``Refusal`` (400) for anything else."""
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError, RequestDataTooBig) as error:
        raise invalid_body() from error
    if not isinstance(body, dict):
        raise invalid_body()
    return body


def text_field(body: dict[str, Any], name: str) -> str:
    """Return a string of the body, ``""`` where it is absent or null.

    Raises ``Refusal`` (400) for another type, and for a lone surrogate, which no UTF-8 text can hold.
    """
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or SURROGATE.search(value):
        raise invalid_body()
    return value


def invalid_body() -> Refusal:
    """Refuse a body that is not JSON of the expected shape."""
    return Refusal(HTTPStatus.BAD_REQUEST, "invalid JSON body")
