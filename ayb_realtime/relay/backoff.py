"""How long the relay waits before it tries again. Pure."""

import random
from collections.abc import Callable


def backoff_seconds(failures: int, chance: Callable[[], float] = random.random) -> float:
    """Return the wait after so many failures in a row: from 0.1 s, doubling up to 2 s, less up to a half at random."""
    longest: float = min(2.0, 0.1 * 2 ** min(failures - 1, 10))
    return longest * (1 - chance() / 2)
