"""Identities and rows without an answer are asked separately, so that the others do not wait for them again."""

import time

import pytest

from ayb_realtime.identity import Identity
from ayb_realtime.visibility.quarantine import (
    BARRED_SECONDS,
    LEAST_PATIENCE,
    SUSPECTED_SECONDS,
    TABLE,
    Pair,
    Quarantine,
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, as the only item of a list."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_identity_that_fails_is_asked_by_itself_then_less_and_less_often_then_trusted(clock: list[float]) -> None:
    quarantine = Quarantine()
    quarantine.add(7, ["ann"])
    assert quarantine.partition(7, ["ann", "bob"]) == ([], ["ann"], ["bob"])
    assert quarantine.partition(8, ["ann", "bob"]) == ([], [], ["ann", "bob"])
    for seconds in (1, 2, 4, 8, 16, BARRED_SECONDS, BARRED_SECONDS):
        quarantine.add(7, ["ann"])
        clock[0] += seconds - 0.1
        assert quarantine.partition(7, ["ann", "bob"]) == (["ann"], [], ["bob"])
        clock[0] += 0.1
        assert quarantine.partition(7, ["ann", "bob"]) == ([], ["ann"], ["bob"])
    clock[0] += SUSPECTED_SECONDS - BARRED_SECONDS
    assert quarantine.partition(7, ["ann", "bob"]) == ([], [], ["ann", "bob"])
    quarantine.add(7, [])
    assert quarantine.pairs(7) == []


def test_identity_that_gets_an_answer_is_trusted(clock: list[float]) -> None:
    quarantine = Quarantine()
    quarantine.add(7, ["ann"])
    quarantine.release(7, ["ann", "bob"])
    assert quarantine.partition(7, ["ann", "bob"]) == ([], [], ["ann", "bob"])


def test_pair_is_suspected_apart_from_its_identity(clock: list[float]) -> None:
    quarantine = Quarantine()
    ann = Identity("reader", (("ayb.user_id", "1"),))
    pair = Pair(ann, ("1",))
    quarantine.add(7, [pair])
    assert quarantine.pairs(7) == [pair]
    assert quarantine.pairs(8) == []
    assert quarantine.partition(7, [ann]) == ([], [], [ann])
    assert quarantine.partition(7, [pair, Pair(ann, ("2",))]) == ([], [pair], [Pair(ann, ("2",))])


def test_table_that_fails_gets_less_and_less_time(clock: list[float]) -> None:
    quarantine = Quarantine()
    given = []
    for _ in range(6):
        given.append(quarantine.patience(7))
        quarantine.add(7, [TABLE])
    assert given == [1, 1 / 2, 1 / 4, 1 / 8, LEAST_PATIENCE, LEAST_PATIENCE]
    quarantine.release(7, [TABLE])
    assert quarantine.patience(7) == 1
