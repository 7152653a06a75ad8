"""What the others do not wait for again."""

import time

import pytest

from ayb_realtime.identity import Identity
from ayb_realtime.visibility.quarantine import (
    BARRED_SECONDS,
    LEAST_PATIENCE,
    SUSPECTED_SECONDS,
    TABLE,
    Pair,
    Suspects,
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds: its one member."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_who_fails_once_is_asked_by_itself_then_less_and_less_often_then_forgotten(clock: list[float]) -> None:
    suspects = Suspects()
    suspects.add(7, ["ann"])
    assert suspects.sort(7, ["ann", "bob"]) == ([], ["ann"], ["bob"])
    assert suspects.sort(8, ["ann", "bob"]) == ([], [], ["ann", "bob"])
    for seconds in (1, 2, 4, 8, 16, BARRED_SECONDS, BARRED_SECONDS):
        suspects.add(7, ["ann"])
        clock[0] += seconds - 0.1
        assert suspects.sort(7, ["ann", "bob"]) == (["ann"], [], ["bob"])
        clock[0] += 0.1
        assert suspects.sort(7, ["ann", "bob"]) == ([], ["ann"], ["bob"])
    clock[0] += SUSPECTED_SECONDS - BARRED_SECONDS
    assert suspects.sort(7, ["ann", "bob"]) == ([], [], ["ann", "bob"])
    suspects.add(7, [])
    assert suspects.pairs(7) == []


def test_who_gets_an_answer_is_as_good_as_anybody(clock: list[float]) -> None:
    suspects = Suspects()
    suspects.add(7, ["ann"])
    suspects.clear(7, ["ann", "bob"])
    assert suspects.sort(7, ["ann", "bob"]) == ([], [], ["ann", "bob"])


def test_pair_is_suspected_apart_from_its_identity(clock: list[float]) -> None:
    suspects = Suspects()
    ann = Identity("reader", (("ayb.user_id", "1"),))
    pair = Pair(ann, ("1",))
    suspects.add(7, [pair])
    assert suspects.pairs(7) == [pair]
    assert suspects.pairs(8) == []
    assert suspects.sort(7, [ann]) == ([], [], [ann])
    assert suspects.sort(7, [pair, Pair(ann, ("2",))]) == ([], [pair], [Pair(ann, ("2",))])


def test_table_that_fails_is_given_less_and_less_time(clock: list[float]) -> None:
    suspects = Suspects()
    given = []
    for _ in range(6):
        given.append(suspects.patience(7))
        suspects.add(7, [TABLE])
    assert given == [1, 1 / 2, 1 / 4, 1 / 8, LEAST_PATIENCE, LEAST_PATIENCE]
    suspects.clear(7, [TABLE])
    assert suspects.patience(7) == 1
