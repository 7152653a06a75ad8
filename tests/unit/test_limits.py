"""Whom a request counts for, and what is kept of it."""

import gc
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.test import RequestFactory

from ayb_realtime import early_refusals
from ayb_realtime.access import limits
from ayb_realtime.access.limits import Counts, Place
from ayb_realtime.addresses import address_of
from ayb_realtime.exceptions import LimitReached


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        (None, "192.0.2.1", None, "192.0.2.1"),
        (None, "8.8.8.8", "1.1.1.1", "8.8.8.8"),
        (None, "10.0.0.1", "made up, 9.9.9.9, 1.1.1.1", "1.1.1.1"),
        (None, "127.0.0.1", "1.1.1.1, 172.16.0.1,10.0.0.9", "1.1.1.1"),
        (None, "", "9.9.9.9, 2606:4700:1:2:3::1", "2606470000010002::/64"),
        (None, "127.0.0.1", "192.168.0.1, 192.168.0.2", "192.168.0.2"),
        (None, "127.0.0.1", "", "127.0.0.1"),
        (None, "127.0.0.1", ",", None),
        (0, "192.0.2.1", "198.51.100.1", "192.0.2.1"),
        (1, "192.0.2.1", "made up, 198.51.100.1", "198.51.100.1"),
        (2, "192.0.2.1", "made up, 198.51.100.1, 192.0.2.9", "198.51.100.1"),
        (1, "192.0.2.1", None, "192.0.2.1"),
        (0, "2001:db8:1:2:3:4:5:6", None, "20010db800010002::/64"),
        (0, "::ffff:192.0.2.1", None, "192.0.2.1"),
        (0, "::1", None, "0::/64"),
        (0, "unix:", None, "unix:"),
        (0, "", None, None),
    ],
)
def test_address_is_what_the_trusted_proxies_say(
    settings: Any, proxies: int | None, peer: str, forwarded: str | None, address: str | None
) -> None:
    settings.REST_FRAMEWORK = {"NUM_PROXIES": proxies}
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory().get("/api/realtime", headers=headers, REMOTE_ADDR=peer)
    assert address_of(request) == address


@pytest.mark.parametrize(
    "forwarded", [[], [b"198.51.100.1"], [b"198.51.100.1, 198.51.100.2", b"198.51.100.3"], [b"\xff"]]
)
@pytest.mark.parametrize("peer", [("192.0.2.1", 80), None])
@pytest.mark.parametrize("proxies", [None, 0, 1, 2])
def test_address_is_the_same_before_django(
    settings: Any, proxies: int | None, peer: tuple[str, int] | None, forwarded: list[bytes]
) -> None:
    settings.REST_FRAMEWORK = {"NUM_PROXIES": proxies}
    headers = [(b"x-forwarded-for", value) for value in forwarded]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers, "client": peer}
    assert address_of(early_refusals._request(scope)) == address_of(ASGIRequest(scope, BytesIO()))


def test_neighbours_in_a_network_count_together_and_others_do_not(settings: Any) -> None:
    settings.REST_FRAMEWORK = {"NUM_PROXIES": 0}
    peers = ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1")
    one, same, other = (address_of(RequestFactory().get("/", REMOTE_ADDR=peer)) for peer in peers)
    assert one == same != other


def test_window_that_ends_forgets_all_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    counts = Counts()
    for _ in range(20):
        counts.request(("user", "1"), 2)
    counts.request(("user", "2"), 2)
    clock.now += 4
    with pytest.raises(LimitReached) as refusal:
        counts.request(("user", "1"), 2)
    assert (refusal.value.code, refusal.value.retry_after) == (429, 6)
    clock.now += 6
    counts.request(("user", "1"), 2)
    assert counts._requests == {("user", "1"): 1}


async def test_nothing_is_kept_of_streams_that_have_ended(settings: Any) -> None:
    settings.AYB_REALTIME = {"LIMITS": {"user_streams": 2}}
    request = RequestFactory().get("/api/realtime")
    streams = limits.here().streams
    with Place() as place:
        place.take_of_address(request)
        place.take_of_user("1")
        kept = place.hand_over()
    with Place() as place:
        place.take_of_user("1")
        with pytest.raises(LimitReached):
            place.take_of_user("1")
    assert streams == {("streams", ""): 1, ("address_streams", "127.0.0.1"): 1, ("user_streams", "1"): 1}
    kept.leave()
    kept.leave()
    assert streams == {}


async def test_values_of_a_users_filters_are_counted_together(settings: Any) -> None:
    settings.AYB_REALTIME = {"LIMITS": {"user_filter_values": 9}}
    request = RequestFactory().get("/api/realtime")
    streams = limits.here().streams
    with Place() as place:
        place.take_of_filters(request, "1", 8)
        kept = place.hand_over()
    for values in (1, 0):
        with Place() as place:
            place.take_of_filters(request, "1", values)
    for user, values in (("1", 2), (None, 10)):
        with pytest.raises(LimitReached, match="too many filter values"), Place() as place:
            place.take_of_filters(request, user, values)
    assert streams == {("user_filter_values", "1"): 8}
    kept.leave()
    assert +streams == {}


async def test_stream_that_is_dropped_without_an_end_counts_no_more() -> None:
    with Place() as place:
        place.take_of_user("1")
        kept = place.hand_over()
    assert limits.here().streams
    del kept
    gc.collect()
    assert limits.here().streams == {}
