"""Failures of checks are counted, and logged at intervals."""

import time

import pytest

from ayb_realtime.identity import Identity
from ayb_realtime.visibility.failures import POLICY_FAILED, QUIET_SECONDS, UNANSWERED, Failures

ANN, BOB = Identity("ann", ()), Identity("bob", ())


def test_failures_of_a_table_are_logged_together_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    failures = Failures()
    failures.add(POLICY_FAILED, 7, "notes", {})
    assert caplog.messages == []
    failures.add(POLICY_FAILED, 7, "notes", {ANN: "22012"})
    failures.add(POLICY_FAILED, 7, "notes", {ANN: "22012", BOB: "42501"})
    now += QUIET_SECONDS
    failures.add(POLICY_FAILED, 7, "notes", {BOB: "42501"})
    failures.add(UNANSWERED, 7, "notes", {BOB: "QueryCanceled"})
    assert caplog.messages == [
        POLICY_FAILED % ("notes", 1, "22012"),
        POLICY_FAILED % ("notes", 3, "42501"),
        UNANSWERED % ("notes", 1, "QueryCanceled"),
    ]
