"""Streams that end are counted, and logged at intervals, with the reason."""

import logging
import time
from random import Random
from types import SimpleNamespace

import pytest

from ayb_realtime.hub.lifetime import liveness
from ayb_realtime.hub.lifetime.draining import end_in_groups
from ayb_realtime.hub.streams.endings import LINE, QUIET_SECONDS, Ending, Endings, endings
from tests.unit.conftest import make, read


@pytest.fixture(autouse=True)
def nothing_logged_yet(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Let the next ending be logged, whatever earlier tests have ended."""
    monkeypatch.setattr(endings, "_counts", {})
    monkeypatch.setattr(endings, "_logged_at", {})
    caplog.set_level(logging.INFO, "ayb_realtime")


def test_endings_for_one_reason_are_logged_together_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    counted = Endings()
    counted.add(Ending.SERVER_STOPS, 0)
    for _ in range(3):
        counted.add(Ending.EXPIRED)
    counted.add(Ending.SERVER_STOPS, 7)
    now += QUIET_SECONDS
    counted.add(Ending.EXPIRED)
    assert caplog.messages == [
        LINE % (1, Ending.EXPIRED),
        LINE % (7, Ending.SERVER_STOPS),
        LINE % (3, Ending.EXPIRED),
    ]


async def test_expired_token_is_logged(clock: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    await read(make(expires_at=clock.now))
    assert caplog.messages == [LINE % (1, Ending.EXPIRED)]


def test_full_buffer_is_logged_once_for_each_stream(caplog: pytest.LogCaptureFixture) -> None:
    stream = make(buffer_bytes=1)
    for _ in range(3):
        stream.push(b"xx")
    assert caplog.messages == [LINE % (1, Ending.BUFFER_FULL)]
    assert endings._counts == {}


def test_client_that_reads_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    gone, here = make(), make()
    gone.read_at -= liveness.CLIENT_GONE_SECONDS + 1
    liveness.sweep([gone, here], lambda stream: stream.abandon())
    assert caplog.messages == [LINE % (1, Ending.NOTHING_READ)]


def test_what_was_counted_in_between_is_logged_without_another_ending(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    counted = Endings()
    for _ in range(3):
        counted.add(Ending.EXPIRED)
    counted.log_due()
    now += QUIET_SECONDS
    counted.log_due()
    counted.log_due()
    assert caplog.messages == [LINE % (1, Ending.EXPIRED), LINE % (2, Ending.EXPIRED)]


async def test_stream_that_has_ended_already_does_not_end_with_the_server(caplog: pytest.LogCaptureFixture) -> None:
    gone, here = make(), make()
    gone.end()
    await end_in_groups([gone, here], Random(1))
    assert caplog.messages == [LINE % (1, Ending.SERVER_STOPS)]


async def test_server_that_stops_is_logged_with_the_number_of_its_streams(caplog: pytest.LogCaptureFixture) -> None:
    await end_in_groups([make() for _ in range(3)], Random(1))
    await end_in_groups([], Random(1))
    assert caplog.messages == [LINE % (3, Ending.SERVER_STOPS)]
