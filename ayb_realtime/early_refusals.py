"""Refuses requests beyond ``LIMITS`` before Django sees them: a refusal in the view takes 19 times the CPU.

``asgi.Realtime`` asks here; without it, the views refuse alone. Logins are refused here that the throttle has refused
a moment ago, or that are too many, and are answered late. Whose a request is, is known here only if one that was the
same to the byte has been authenticated a few seconds ago. What must always hold: the view has the same answer to
requests that are too many, and each request counts once.
"""

import asyncio
import random
import re
import time
from collections.abc import Sequence
from math import ceil
from threading import BoundedSemaphore
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework.exceptions import Throttled

from ayb_realtime import precedence
from ayb_realtime.access.credentials import Credentials
from ayb_realtime.access.limits import KEY, WINDOW_SECONDS, Counted, Party, count_of_address, here
from ayb_realtime.addresses import address_of, ident_of
from ayb_realtime.asgi import Realtime, Scope
from ayb_realtime.conf import conf
from ayb_realtime.exceptions import LimitReached
from ayb_realtime.incoming import Message
from ayb_realtime.refusals import limit_reached

# The paths of ``urls``, after any prefix: a stream, which is a GET, and the two POSTs about one.
PATHS = re.compile(r"/api/realtime(/ticket|/[^/]+/token)?$")
# How many paths of logins are kept: a path may have the name of a tenant in it.
LOGIN_PATHS_MAX = 1000
# Of how many addresses it is kept here that they may not log in now.
ADDRESSES_MAX = 10_000
# How many refusals of logins a second Django gives: to an address; to all, while there are too many.
LOGINS_ELSEWHERE = 1.0
# How many logins may wait in a process, and come to Django in a second; what others are answered, and when they may
# come back. Passwords are hashed one at a time, so these are ten seconds of work.
LOGINS_MAX = 32
TOO_MANY_LOGINS, BUSY_SECONDS = "too many logins", 10
# How long a refusal of a login is held back, and how many are: clients that ask again at once do so less often.
HELD_SECONDS, HELD_MAX = 2.0, 1000
# What the login view takes while a login waits or is checked, each in a thread.
waiting_logins = BoundedSemaphore(LOGINS_MAX)

HEADERS = {b"accept": "HTTP_ACCEPT", b"origin": "HTTP_ORIGIN", b"x-forwarded-for": "HTTP_X_FORWARDED_FOR"}

# Where the login view is: a site may have one of its own at such a path.
_login_paths: set[str] = set()
# Which clients the login throttle has refused: when, by the monotonic clock, and for how many seconds.
_logins: dict[str, tuple[float, float]] = {}


def begin() -> None:
    """Let ``Realtime`` ask here."""
    Realtime.refuse = staticmethod(refuse)


async def refuse(scope: Scope, given: Credentials) -> Sequence[Message]:
    """Return the messages of a refusal; none if Django is to answer.

    given: what was in the query.
    """
    method, called = scope.get("method"), scope.get("path", "")
    if method == "POST" and called in _login_paths:
        await precedence.turn()
        return await _held(_refuse_login(scope))
    path = PATHS.search(called)
    if path is None or method != ("POST" if path[1] else "GET"):
        return ()
    request = _request(scope)
    headers = tuple((name, value) for name, value in scope["headers"])
    fingerprint = hash((_peer(scope), scope["query_string"], given.token, given.ticket, headers))
    counted = scope[KEY] = Counted(fingerprint, address_of(request))
    try:
        _check(counted, opens_stream=not path[1])
    except LimitReached as error:
        party = "refused", ident_of(request)
        if _is_read_elsewhere(party, request, conf.limits["address_opens_per_second"]):
            counted.refusal = error
            return ()
        return _messages(limit_reached(request, error))
    return ()


def _check(counted: Counted, *, opens_stream: bool) -> None:
    """Count a request for its address. Raises LimitReached for it, or for its user."""
    count_of_address(counted.address)
    counts = here()
    user = counts.users.get(counted.fingerprint)
    if user is not None:
        counts.request(("user", user), conf.limits["user_opens_per_second"], 0)
    if opens_stream:
        counts.check_room(("streams", ""))
        if counted.address:
            counts.check_room(("address_streams", counted.address))
        if user is not None:
            counts.check_room(("user_streams", user))


def note_login_path(path: str) -> None:
    """Refuse logins at this path here from now on."""
    if len(_login_paths) >= LOGIN_PATHS_MAX:
        _login_paths.clear()
    _login_paths.add(path)


def refuse_logins(ident: str, seconds: float | None) -> None:
    """Refuse the logins of a client here for so long, but ten seconds at most: then the throttle counts again."""
    if len(_logins) >= ADDRESSES_MAX:
        _logins.clear()
    _logins[ident] = time.monotonic(), seconds or 0.0


def _refuse_login(scope: Scope) -> Sequence[Message]:
    """Refuse a login, or count it."""
    request, counts = _request(scope), here()
    ident = ident_of(request)
    began, seconds = _logins.get(ident, (0.0, 0.0))
    left = seconds - (time.monotonic() - began)
    is_refused = left > max(0.0, seconds - WINDOW_SECONDS)
    if is_refused and not _is_read_elsewhere(("login", ident), request, LOGINS_ELSEWHERE):
        return _login_refusal(429, str(Throttled(left).detail), left)
    is_full = counts.logins >= LOGINS_MAX or not _is_room()
    if is_full and not _is_read_elsewhere(("login", None), request, LOGINS_ELSEWHERE):
        return _login_refusal(503, TOO_MANY_LOGINS, BUSY_SECONDS)
    counts.login()
    return ()


async def _held(answer: Sequence[Message]) -> Sequence[Message]:
    counts = here()
    if answer and counts.held < HELD_MAX:
        counts.held += 1
        try:
            await asyncio.sleep(HELD_SECONDS * random.uniform(1, 2))  # noqa: S311 - so that not all come back at once
        finally:
            counts.held -= 1
    return answer


def _is_room() -> bool:
    if is_room := waiting_logins.acquire(blocking=False):
        waiting_logins.release()
    return is_room


def _login_refusal(code: int, message: str, seconds: float) -> Sequence[Message]:
    headers = {"Retry-After": str(ceil(seconds)), "Cache-Control": "no-store"}
    return _messages(JsonResponse({"code": code, "message": message}, status=code, headers=headers))


def _is_read_elsewhere(party: Party, request: HttpRequest, per_second: float) -> bool:
    """Tell whether Django is to refuse a request, because a page of another site may read the answer.

    It may only with headers that the site's middleware adds. A party has so many such answers at most: anyone can
    write an Origin.
    """
    if "HTTP_ORIGIN" not in request.META:
        return False
    try:
        here().request(party, per_second)
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
