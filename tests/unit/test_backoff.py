"""How long the relay waits before it tries again."""

import pytest

from ayb_realtime.relay.backoff import backoff_seconds


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 0.1), (2, 0.2), (3, 0.4), (5, 1.6), (6, 2.0), (7, 2.0), (1000, 2.0), (10**9, 2.0)],
)
def test_wait_doubles_up_to_two_seconds(failures: int, seconds: float) -> None:
    assert backoff_seconds(failures, chance=lambda: 0.0) == pytest.approx(seconds)


@pytest.mark.parametrize("failures", [1, 4, 20])
def test_chance_takes_away_up_to_a_half(failures: int) -> None:
    longest = backoff_seconds(failures, chance=lambda: 0.0)
    assert backoff_seconds(failures, chance=lambda: 0.5) == pytest.approx(longest * 0.75)
    assert backoff_seconds(failures, chance=lambda: 1.0) == pytest.approx(longest / 2)


def test_each_wait_is_drawn_again() -> None:
    assert len({backoff_seconds(3) for _ in range(10)}) > 1
