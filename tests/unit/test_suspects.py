"""Whom the others do not wait for again."""

import time

import pytest

from ayb_realtime.visibility.suspects import BARRED_SECONDS, SUSPECTED_SECONDS, Suspects


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds: its one member."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_who_fails_once_is_asked_by_itself_then_less_and_less_often_then_forgotten(clock: list[float]) -> None:
    suspects = Suspects()
    suspects.add(7, "ann")
    assert suspects.sort(7, ["ann", "bob"]) == ([], ["ann"], ["bob"])
    assert suspects.sort(8, ["ann", "bob"]) == ([], [], ["ann", "bob"])
    for seconds in (1, 2, 4, 8, 16, BARRED_SECONDS, BARRED_SECONDS):
        suspects.add(7, "ann")
        clock[0] += seconds - 0.1
        assert suspects.sort(7, ["ann", "bob"]) == (["ann"], [], ["bob"])
        clock[0] += 0.1
        assert suspects.sort(7, ["ann", "bob"]) == ([], ["ann"], ["bob"])
    clock[0] += SUSPECTED_SECONDS - BARRED_SECONDS
    assert suspects.sort(7, ["ann", "bob"]) == ([], [], ["ann", "bob"])


def test_who_gets_an_answer_is_as_good_as_anybody(clock: list[float]) -> None:
    suspects = Suspects()
    suspects.add(7, "ann")
    suspects.clear(7, "ann")
    suspects.clear(7, "bob")
    assert suspects.sort(7, ["ann", "bob"]) == ([], [], ["ann", "bob"])
