"""How long to rest after a call that all share."""

import time

import pytest

from ayb_realtime.rests import Rest


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(("took", "rest"), [(0.001, 0.004), (0.0125, 0.05), (2.0, 0.05)])
def test_rest_is_in_proportion_to_the_call_and_has_an_end(clock: list[float], took: float, rest: float) -> None:
    resting = Rest()
    assert resting.seconds_left <= 0
    with resting.after():
        clock[0] += took
    assert resting.seconds_left == pytest.approx(rest)
    clock[0] += rest
    assert resting.seconds_left == pytest.approx(0)


def test_rest_follows_a_call_that_fails(clock: list[float]) -> None:
    resting = Rest()

    def fail() -> None:
        with resting.after():
            clock[0] += 0.01
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert resting.seconds_left == pytest.approx(0.04)
