"""Resets for rows that could not be checked are sent at once, and after a few of them at intervals."""

import time

import pytest

from ayb_realtime.hub.streams.unanswered_resets import BURST, RESET_SECONDS, UnansweredResets


def test_resets_are_sent_then_owed_then_due(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    resets = UnansweredResets()
    assert all(resets.may_send(7) for _ in range(BURST))
    assert not resets.owed
    assert not resets.may_send(7)
    assert resets.may_send(8)
    assert resets.owed == {7}
    now += RESET_SECONDS - 0.1
    assert not resets.take_due()
    now += 0.1
    # An owed reset is not sent among other events, since the ids of earlier ones would say how far the stream is.
    assert not resets.may_send(7)
    assert resets.take_due() == {7}
    assert not resets.owed
    assert not resets.may_send(7)
