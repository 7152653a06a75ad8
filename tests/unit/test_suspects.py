"""Whom nobody waits for again."""

import time

import pytest

from ayb_realtime.visibility.suspects import BARRED_SECONDS, SUSPECTED_SECONDS, Suspects


def test_suspect_is_barred_then_asked_last_then_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    suspects = Suspects()
    suspects.add(7, "ann")
    assert suspects.sort(7, ["ann", "bob"]) == (["ann"], [], ["bob"])
    assert suspects.sort(8, ["ann", "bob"]) == ([], [], ["ann", "bob"])
    now += BARRED_SECONDS
    assert suspects.sort(7, ["ann", "bob"]) == ([], ["ann"], ["bob"])
    now += SUSPECTED_SECONDS
    assert suspects.sort(7, ["ann", "bob"]) == ([], [], ["ann", "bob"])
