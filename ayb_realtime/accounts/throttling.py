"""How often clients may log in, and how many logins are checked at a time. The login view uses it.

What must always hold: an unknown email is limited as a known one is; and of logins that come together, no more are let
through than of others.
"""

import hashlib
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from threading import Lock, get_native_id
from typing import Any

from asgiref.sync import SyncToAsync
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle

from ayb_realtime import asgi, early_refusals
from ayb_realtime.accounts.json_api import Refusal, json_object, text_field
from ayb_realtime.addresses import ident_of
from ayb_realtime.early_refusals import BUSY_SECONDS, TOO_MANY_LOGINS

# How nice a thread is that checks a login: of a core that is wanted, it gets a tenth of what the event loop's gets.
NICENESS = 10

# A password's hash takes a core for a third of a second, and several at once would take it from the streams.
_checking = Lock()


class LoginThrottle(SimpleRateThrottle):  # type: ignore[misc]  # REST framework has no types
    """Limits logins per client address: ``REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]["ayb_login"]``; None: no limit."""

    scope = "ayb_login"

    def get_rate(self) -> str | None:
        """Return the site's rate; by default 30 a minute."""
        rate: str | None = api_settings.DEFAULT_THROTTLE_RATES.get(self.scope, "30/min")
        return rate

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count an attempt, in one step of the cache. REST framework's own reads and writes, between which others may.

        The windows of two parties begin at different times, so that not all come back at once.
        """
        if self.rate is None or (key := self.get_cache_key(request, view)) is None:
            return True
        window, passed = divmod(self.timer() + zlib.crc32(key.encode()), self.duration)
        self._wait = float(self.duration - passed)
        self.cache.add(f"{key}_{window:.0f}", 0, self.duration)
        try:
            attempts = self.cache.incr(f"{key}_{window:.0f}")
        except ValueError:  # The cache has dropped it, or keeps nothing.
            return True
        return attempts <= self.num_requests or self.throttle_failure()

    def wait(self) -> float:
        """Return in how many seconds the next attempt may be allowed."""
        return self._wait

    def get_cache_key(self, request: Request, _: Any) -> str | None:
        """Count by client address, as streams are counted."""
        self.ident = ident_of(request)
        return self._key(self.ident)

    def throttle_failure(self) -> bool:
        """Refuse. For a while, the next ones are refused before Django."""
        early_refusals.refuse_logins(self.ident, self.wait())
        return False

    def _key(self, party: str) -> str:
        return str(self.cache_format % {"scope": self.scope, "ident": hashlib.sha256(party.encode()).hexdigest()})


class EmailThrottle(LoginThrottle):
    """Limits logins per email, known or not, from all addresses: the rate ``ayb_login_email``."""

    scope = "ayb_login_email"

    def get_cache_key(self, request: Request, _: Any) -> str | None:
        """Count by email. A body that can have none is refused by the view."""
        with suppress(Refusal):
            return self._key(text_field(json_object(request), "email").casefold())
        return None

    def throttle_failure(self) -> bool:
        """Refuse."""
        return False


@contextmanager
def turn(request: Request) -> Iterator[None]:
    """Wait until no other login is checked. Raises ``Refusal``: 503 if too many wait, 408 if the client has gone."""
    waiting = early_refusals.waiting_logins
    if not waiting.acquire(blocking=False):
        refusal = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, TOO_MANY_LOGINS)
        refusal.wait = BUSY_SECONDS
        raise refusal
    try:
        with _checking:
            handover = getattr(request, "scope", {}).get(asgi.KEY)
            if handover and handover.is_gone:  # Nobody waits for the answer.
                raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "the client has gone")
            _give_way()
            yield
    finally:
        waiting.release()


def _give_way() -> None:
    """Let all else have the core first, for the rest of this thread's life, which is this request's under ASGI.

    Under WSGI the thread goes on to other requests, and nothing gives it back its priority. Elsewhere than on Linux,
    threads have none of their own.
    """
    if sys.platform == "linux" and SyncToAsync.thread_sensitive_context.get(None) is not None:
        thread = get_native_id()
        nicer = max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread))
        os.setpriority(os.PRIO_PROCESS, thread, nicer)
