"""Failures of checks are counted, and logged at intervals."""

import time
from dataclasses import replace

import pytest

from ayb_realtime.identity import ANONYMOUS_ROLE, Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility.failures import POLICY_FAILED, QUIET_SECONDS, UNANSWERED, Failures

ANN, BOB = Identity("ann", (("ayb.user_id", "7 a"),)), Identity("bob", ())
NOTES = Table(7, "public", "notes", ("id",), (), True, 1)


def test_failures_of_a_table_are_logged_together_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    failures = Failures()
    failures.add(POLICY_FAILED, NOTES, {})
    assert caplog.messages == []
    failures.add(POLICY_FAILED, NOTES, {ANN: "22012"})
    failures.add(POLICY_FAILED, NOTES, {ANN: "22012", BOB: "42501"})
    now += QUIET_SECONDS
    failures.add(POLICY_FAILED, NOTES, {BOB: "42501"})
    failures.add(UNANSWERED, NOTES, {BOB: "QueryCanceled"})
    assert caplog.messages == [
        POLICY_FAILED % ("notes", 1, "22012", "--user-id '7 a' --table notes"),
        POLICY_FAILED % ("notes", 3, "42501", "--user EMAIL --table notes"),
        UNANSWERED % ("notes", 1, "QueryCanceled"),
    ]


def test_failure_names_the_command_that_explains_it(caplog: pytest.LogCaptureFixture) -> None:
    anonymous, tenants = Identity(ANONYMOUS_ROLE, (("ayb.user_id", ""),)), replace(NOTES, schema="tenant_b")
    Failures().add(POLICY_FAILED, tenants, {anonymous: "22012"})
    assert caplog.messages[0].endswith(": manage.py realtime_explain --anonymous --table tenant_b.notes")
