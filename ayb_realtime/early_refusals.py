"""Refuses requests beyond ``LIMITS`` before Django sees them: a refusal in the view takes 19 times the CPU.

``asgi.Realtime`` asks here; without it, the views refuse alone. Logins are refused here that the throttle has refused
a moment ago. Whose a request is, is known here only if one that was
the same to the byte has been authenticated a few seconds ago. What must always hold: nothing is refused here that the
view would not refuse with the same answer, and each request counts once.
"""

import re
import time
from collections.abc import Sequence
from math import ceil
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework.exceptions import Throttled

from ayb_realtime.access.credentials import Credentials
from ayb_realtime.access.limits import KEY, WINDOW_SECONDS, Counted, count_of_address, here
from ayb_realtime.addresses import address_of, ident_of
from ayb_realtime.asgi import Realtime, Scope
from ayb_realtime.conf import conf
from ayb_realtime.exceptions import LimitReached
from ayb_realtime.incoming import Message
from ayb_realtime.refusals import limit_reached

# The paths of ``urls``, after any prefix: a stream, which is a GET, and the two POSTs about one.
PATHS = re.compile(r"/api/realtime(/ticket|/[^/]+/token)?$")
LOGIN = re.compile(r"/api/auth/login$")
# Of how many addresses it is kept here that they may not log in now.
ADDRESSES_MAX = 10_000
# How many refusals of logins a second an address may have from Django.
LOGINS_ELSEWHERE = 1.0

HEADERS = {b"accept": "HTTP_ACCEPT", b"origin": "HTTP_ORIGIN", b"x-forwarded-for": "HTTP_X_FORWARDED_FOR"}

# Which clients the login throttle has refused: when, by the monotonic clock, and for how many seconds.
_logins: dict[str, tuple[float, float]] = {}


def begin() -> None:
    """Let ``Realtime`` ask here."""
    Realtime.refuse = staticmethod(refuse)


def refuse(scope: Scope, given: Credentials) -> Sequence[Message]:
    """Return the messages of a refusal; none if Django is to answer.

    given: what was in the query.
    """
    method, called = scope.get("method"), scope.get("path", "")
    if method == "POST" and LOGIN.search(called):
        return _refuse_login(_request(scope)) if _logins else ()
    path = PATHS.search(called)
    if path is None or method != ("POST" if path[1] else "GET"):
        return ()
    request = _request(scope)
    headers = tuple((name, value) for name, value in scope["headers"])
    counted = scope[KEY] = Counted(hash((_peer(scope), scope["query_string"], given.token, given.ticket, headers)))
    try:
        _check(request, counted, opens_stream=not path[1])
    except LimitReached as error:
        if _is_read_elsewhere("refused", request, conf.limits["address_opens_per_second"]):
            counted.refusal = error
            return ()
        return _messages(limit_reached(request, error))
    return ()


def _check(request: HttpRequest, counted: Counted, *, opens_stream: bool) -> None:
    """Count a request for its address. Raises LimitReached for it, or for its user."""
    count_of_address(request)
    counts = here()
    user = counts.users.get(counted.fingerprint)
    if user is not None:
        counts.request(("user", user), conf.limits["user_opens_per_second"], 0)
    if opens_stream:
        counts.check_room(("streams", ""))
        if address := address_of(request):
            counts.check_room(("address_streams", address))
        if user is not None:
            counts.check_room(("user_streams", user))


def refuse_logins(ident: str, seconds: float | None) -> None:
    """Refuse the logins of a client here for so long, but ten seconds at most: then the throttle counts again."""
    if len(_logins) >= ADDRESSES_MAX:
        _logins.clear()
    _logins[ident] = time.monotonic(), seconds or 0.0


def _refuse_login(request: HttpRequest) -> Sequence[Message]:
    began, seconds = _logins.get(ident_of(request), (0.0, 0.0))
    passed = time.monotonic() - began
    if passed >= min(seconds, WINDOW_SECONDS) or _is_read_elsewhere("refused logins", request, LOGINS_ELSEWHERE):
        return ()
    error = Throttled(seconds - passed)
    headers = {"Retry-After": str(ceil(seconds - passed)), "Cache-Control": "no-store"}
    return _messages(JsonResponse({"code": 429, "message": str(error.detail)}, status=429, headers=headers))


def _is_read_elsewhere(kind: str, request: HttpRequest, per_second: float) -> bool:
    """Tell whether Django is to refuse a request, because a page of another site may read the answer.

    It may only with headers that the site's middleware adds. An address has so many such answers at most: anyone can
    write an Origin.
    """
    if "HTTP_ORIGIN" not in request.META:
        return False
    try:
        here().request((kind, ident_of(request)), per_second)
    except LimitReached:
        return False
    return True


def _peer(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])


def _request(scope: Scope) -> HttpRequest:
    """Return what of a request decides here, as Django would have it."""
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = _peer(scope)
    for name, value in scope["headers"]:
        if key := HEADERS.get(name):
            before = request.META.get(key)
            request.META[key] = value.decode("latin-1") if before is None else f"{before},{value.decode('latin-1')}"
    return request


def _messages(response: HttpResponse) -> Sequence[dict[str, Any]]:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in response.items()]
    headers.append((b"Content-Length", b"%d" % len(response.content)))
    start = {"type": "http.response.start", "status": response.status_code, "headers": headers}
    return start, {"type": "http.response.body", "body": response.content}
