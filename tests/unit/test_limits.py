"""Whom a request counts for, and what is kept of it."""

import gc
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import RequestFactory

from ayb_realtime import limits
from ayb_realtime.exceptions import LimitReached
from ayb_realtime.limits import Counts, Place, address_of


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        (None, "192.0.2.1", None, "192.0.2.1"),
        (None, "192.0.2.1", "198.51.100.1", None),
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
    streams = limits._here().streams
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


async def test_stream_that_is_dropped_without_an_end_counts_no_more() -> None:
    with Place() as place:
        place.take_of_user("1")
        kept = place.hand_over()
    assert limits._here().streams
    del kept
    gc.collect()
    assert limits._here().streams == {}
