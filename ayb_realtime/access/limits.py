"""How much clients may ask of this process, by ``LIMITS``. ``early_refusals`` and the views ask here.

What must always hold: a stream counts from before its user is known until its response has ended; and nothing is kept
of a user or an address that has no stream, and has asked for none lately.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from weakref import WeakKeyDictionary

from django.http import HttpRequest

from ayb_realtime.access import credentials
from ayb_realtime.addresses import address_of
from ayb_realtime.conf import conf
from ayb_realtime.exceptions import LimitReached

# How long requests are counted together. The tabs of a browser come back at once, so a single second would not do.
WINDOW_SECONDS = 10.0


# The limit of the values of filters: each is sent to Postgres with each change of its table.
FILTER_VALUES = "user_filter_values"

# What streams and requests are counted for: its kind, as in the names of the limits, and which one it is.
Party = tuple[str, Hashable]

# Where in the scope it is noted that a request has been counted before Django.
KEY = "ayb_realtime.counted"


@dataclass(slots=True)
class Counted:
    """A request that has been counted for its address.

    fingerprint: the same for requests that are the same to the byte.
    address: the client's.
    refusal: what the view is to raise.
    """

    fingerprint: int
    address: str | None
    refusal: LimitReached | None = None


class Counts:
    """The streams that are open in an event loop, and the requests of the last few seconds, by party.

    users: whose requests those were that have been authenticated, by fingerprint.
    logins: how many have come to Django within a second.
    held: how many refusals of logins are held back.
    """

    def __init__(self) -> None:
        self.streams: Counter[Party] = Counter()
        self.users: dict[int, Hashable] = {}
        self.logins = self.held = 0
        self._requests: Counter[Party] = Counter()
        self._window_ends = -math.inf

    def check_room(self, party: Party) -> None:
        """Raise LimitReached if a party may open no more streams."""
        if self.streams[party] >= conf.limits[party[0]]:
            is_full = party[0] == "streams"
            code = 503 if is_full else 429
            raise LimitReached(party[0], code, "too many streams", WINDOW_SECONDS, passes=is_full)

    def login(self) -> None:
        """Count a login for a second."""
        self.logins += 1
        asyncio.get_running_loop().call_later(1, self._forget_login)

    def request(self, party: Party, per_second: float, more: int = 1) -> None:
        """Count a request, or none. Raises LimitReached if there are too many in this window."""
        now = time.monotonic()
        if now >= self._window_ends:
            self._requests.clear()
            self.users.clear()
            self._window_ends = now + WINDOW_SECONDS
        if more:
            self._requests[party] += more
        if self._requests[party] > per_second * WINDOW_SECONDS:
            limit = f"{party[0]}_opens_per_second"
            raise LimitReached(limit, 429, "too many requests", self._window_ends - now, passes=True)

    def _forget_login(self) -> None:
        self.logins -= 1


_counts: WeakKeyDictionary[asyncio.AbstractEventLoop, Counts] = WeakKeyDictionary()


def here() -> Counts:
    """Return the counts of this event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _counts:
        _counts[loop] = Counts()
    return _counts[loop]


class Place:
    """What one stream counts for. As a context, it leaves at the end, unless it was handed over."""

    __slots__ = ("_filter_values", "_parties", "_streams")

    def __init__(self) -> None:
        self._streams = here().streams
        self._parties: tuple[Party, ...] = ()
        self._filter_values = 0

    def take_of_address(self, request: HttpRequest) -> None:
        """Count for the process and for the address. Raises LimitReached."""
        self._take(("streams", ""))
        if address := address_of(request):
            self._take(("address_streams", address))

    def take_of_user(self, user: Hashable) -> None:
        """Count for a user, unless it is None: an anonymous one. Raises LimitReached."""
        if user is not None:
            self._take(("user_streams", user))

    def take_of_filters(self, request: HttpRequest, user: Hashable, values: int) -> None:
        """Count values of filters for a user, or for the address of an anonymous one. Raises LimitReached."""
        party = FILTER_VALUES, user if user is not None else address_of(request)
        if values and self._streams[party] + values > conf.limits[FILTER_VALUES]:
            raise LimitReached(FILTER_VALUES, 429, "too many filter values", WINDOW_SECONDS)
        if values:
            self._streams[party] += values
            self._filter_values, self._parties = values, (*self._parties, party)

    def hand_over(self) -> "Place":
        """Return what goes on counting, to ``leave`` later."""
        other = Place()
        other._parties, self._parties = self._parties, ()
        other._filter_values = self._filter_values
        return other

    def leave(self) -> None:
        """Count no more. May be called again."""
        parties, self._parties = self._parties, ()
        for party in parties:
            self._streams[party] -= self._filter_values if party[0] == FILTER_VALUES else 1
            if not self._streams[party]:
                del self._streams[party]

    def __enter__(self) -> Self:
        return self

    def __del__(self) -> None:
        # If a middleware has replaced the response, nothing else lets go of the stream at once.
        self.leave()

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.leave()

    def _take(self, party: Party) -> None:
        here().check_room(party)
        self._streams[party] += 1
        self._parties = (*self._parties, party)


def check_request(request: HttpRequest) -> None:
    """Refuse a request that is one too many of its address, or too long. Raises LimitReached."""
    limits = conf.limits
    if counted := _counted(request):
        if counted.refusal:
            raise counted.refusal
    else:
        count_of_address(address_of(request))
    secret = sum(len(part) for _, part in credentials.of(request).parts)
    if len(request.META.get("QUERY_STRING", "")) + secret > limits["query_bytes"]:
        raise LimitReached("query_bytes", 414, "query too long")
    if sum(len(value) for name, value in request.META.items() if name.startswith("HTTP_")) > limits["header_bytes"]:
        raise LimitReached("header_bytes", 431, "headers too long")


def count_of_address(address: str | None) -> None:
    """Count a request for its address, if that is known. Raises LimitReached."""
    if address:
        here().request(("address", address), conf.limits["address_opens_per_second"])


def check_user(request: HttpRequest, user: Hashable) -> None:
    """Refuse a request that is one too many of its user, unless that is None. Raises LimitReached."""
    if user is not None:
        if counted := _counted(request):
            here().users[counted.fingerprint] = user
        here().request(("user", user), conf.limits["user_opens_per_second"])


def _counted(request: HttpRequest) -> Counted | None:
    found: Counted | None = getattr(request, "scope", {}).get(KEY)
    return found
