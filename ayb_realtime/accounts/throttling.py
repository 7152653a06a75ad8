"""How often clients may log in, and how many logins are checked at a time. The login view uses it.

What must always hold: an unknown email is limited as a known one is.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from threading import BoundedSemaphore, get_native_id
from typing import Any

from asgiref.sync import SyncToAsync
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle

from ayb_realtime import early_refusals
from ayb_realtime.accounts.json_api import Refusal, json_object, text_field
from ayb_realtime.addresses import ident_of

# How many logins may wait in a process, each in a thread, and when to come back if they do. They are checked one at a
# time: a password's hash takes a core for a third of a second, and several at once would take it from the streams.
WAITING_MAX = 32
BUSY_SECONDS = 10
# How nice a thread is that checks a login: of a core that is wanted, it gets a tenth of what the event loop's gets.
NICENESS = 10

_waiting, _checking = BoundedSemaphore(WAITING_MAX), BoundedSemaphore(1)


class LoginThrottle(SimpleRateThrottle):  # type: ignore[misc]  # REST framework has no types
    """Limits logins per client address: ``REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]["ayb_login"]``; None: no limit."""

    scope = "ayb_login"

    def get_rate(self) -> str | None:
        """Return the site's rate; by default 30 a minute."""
        rate: str | None = api_settings.DEFAULT_THROTTLE_RATES.get(self.scope, "30/min")
        return rate

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
def turn() -> Iterator[None]:
    """Wait until no other login is checked. Raises ``Refusal`` (503) if too many wait already."""
    if not _waiting.acquire(blocking=False):
        refusal = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many logins")
        refusal.wait = BUSY_SECONDS
        raise refusal
    try:
        with _checking:
            _give_way()
            yield
    finally:
        _waiting.release()


def _give_way() -> None:
    """Let all else have the core first, for the rest of this thread's life, which is this request's under ASGI.

    Under WSGI the thread goes on to other requests, and nothing gives it back its priority. Elsewhere than on Linux,
    threads have none of their own.
    """
    if sys.platform == "linux" and SyncToAsync.thread_sensitive_context.get(None) is not None:
        thread = get_native_id()
        nicer = max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread))
        os.setpriority(os.PRIO_PROCESS, thread, nicer)
