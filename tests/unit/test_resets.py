"""Resets for rows that could not be checked come at once, and then now and then."""

import time

import pytest

from ayb_realtime.hub.resets import BURST, RESET_SECONDS, Resets


def test_resets_are_sent_then_owed_then_due(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    resets = Resets()
    assert all(resets.may_send(7) for _ in range(BURST))
    assert not resets.owed
    assert not resets.may_send(7)
    assert resets.may_send(8)
    assert resets.owed == {7}
    now += RESET_SECONDS - 0.1
    assert not resets.take_due()
    now += 0.1
    # What is owed is not sent among other events: those before it would say how far the stream is.
    assert not resets.may_send(7)
    assert resets.take_due() == {7}
    assert not resets.owed
    assert not resets.may_send(7)
