"""How much clients may ask of this process, by ``LIMITS``. The view asks here before it does anything dear.

What must always hold: a stream counts from before its user is known until its response has ended; and nothing is kept
of a user or an address that has no stream, and has asked for none lately.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Hashable
from ipaddress import IPv6Address, ip_address
from types import TracebackType
from typing import Self
from weakref import WeakKeyDictionary

from django.http import HttpRequest
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from ayb_realtime import credentials
from ayb_realtime.conf import conf
from ayb_realtime.exceptions import LimitReached

# How long requests are counted together. The tabs of a browser come back at once, so a single second would not do.
WINDOW_SECONDS = 10.0
# An address of IPv6 counts as its network: a customer of a provider has as many addresses as this leaves out.
NETWORK_BITS = 64

# What streams and requests are counted for: its kind, as in the names of the limits, and which one it is.
Party = tuple[str, Hashable]


class Counts:
    """The streams that are open in an event loop, and the requests of the last few seconds, by party."""

    def __init__(self) -> None:
        self.streams: Counter[Party] = Counter()
        self._requests: Counter[Party] = Counter()
        self._window_ends = -math.inf

    def request(self, party: Party, per_second: float) -> None:
        """Count a request. Raises LimitReached if it is one too many of this window."""
        now = time.monotonic()
        if now >= self._window_ends:
            self._requests.clear()
            self._window_ends = now + WINDOW_SECONDS
        self._requests[party] += 1
        if self._requests[party] > per_second * WINDOW_SECONDS:
            raise LimitReached(429, "too many requests", self._window_ends - now, passes=True)


_counts: WeakKeyDictionary[asyncio.AbstractEventLoop, Counts] = WeakKeyDictionary()


def _here() -> Counts:
    return _counts.setdefault(asyncio.get_running_loop(), Counts())


class Place:
    """What one stream counts for. As a context, it leaves at the end, unless it was handed over."""

    __slots__ = ("_parties", "_streams")

    def __init__(self) -> None:
        self._streams = _here().streams
        self._parties: tuple[Party, ...] = ()

    def take_of_address(self, request: HttpRequest) -> None:
        """Count for the process and for the address. Raises LimitReached."""
        self._take(("streams", ""), LimitReached(503, "too many streams", WINDOW_SECONDS, passes=True))
        if address := address_of(request):
            self._take(("address_streams", address), LimitReached(429, "too many streams", WINDOW_SECONDS))

    def take_of_user(self, user: Hashable) -> None:
        """Count for a user, unless it is None: an anonymous one. Raises LimitReached."""
        if user is not None:
            self._take(("user_streams", user), LimitReached(429, "too many streams", WINDOW_SECONDS))

    def hand_over(self) -> "Place":
        """Return what goes on counting, to ``leave`` later."""
        other = Place()
        other._parties, self._parties = self._parties, ()
        return other

    def leave(self) -> None:
        """Count no more. May be called again."""
        parties, self._parties = self._parties, ()
        for party in parties:
            self._streams[party] -= 1
            if not self._streams[party]:
                del self._streams[party]

    def __enter__(self) -> Self:
        return self

    def __del__(self) -> None:
        # If a middleware has replaced the response, nothing else lets go of the stream at once.
        self.leave()

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.leave()

    def _take(self, party: Party, refusal: LimitReached) -> None:
        if self._streams[party] >= conf.limits[party[0]]:
            raise refusal
        self._streams[party] += 1
        self._parties = (*self._parties, party)


def check_request(request: HttpRequest) -> None:
    """Refuse a request that is too long, or one too many of its address. Raises LimitReached."""
    limits = conf.limits
    secret = sum(len(part) for _, part in credentials.of(request).parts)
    if len(request.META.get("QUERY_STRING", "")) + secret > limits["query_bytes"]:
        raise LimitReached(414, "query too long")
    if sum(len(value) for name, value in request.META.items() if name.startswith("HTTP_")) > limits["header_bytes"]:
        raise LimitReached(431, "headers too long")
    if address := address_of(request):
        _here().request(("address", address), limits["address_opens_per_second"])


def check_user(user: Hashable) -> None:
    """Refuse a request that is one too many of its user, unless that is None. Raises LimitReached."""
    if user is not None:
        _here().request(("user", user), conf.limits["user_opens_per_second"])


def address_of(request: HttpRequest) -> str | None:
    """Return the client's address, or its network; None if there is none, or if ``NUM_PROXIES`` would have to say it.

    That setting of REST framework's says how many proxies to trust. Without it, anyone can write the header.
    """
    if api_settings.NUM_PROXIES is None and "HTTP_X_FORWARDED_FOR" in request.META:
        return None
    found: str = BaseThrottle().get_ident(request) or ""
    try:
        address = ip_address(found)
    except ValueError:  # Such as that of a Unix socket.
        return found or None
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or f"{int(address) >> NETWORK_BITS:x}::/{NETWORK_BITS}")
    return str(address)
