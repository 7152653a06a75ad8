"""Inputs that no client means to send: how they are drawn, and how many of each kind one run of CI makes."""

import os
from typing import TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

T = TypeVar("T")

# Together 20,000. Those that take a server are fewer.
INPUTS = {
    "events": 1000,
    "event streams": 3000,
    "filters": 3000,
    "fields": 1000,
    "positions": 3400,
    "messages": 3000,
    "payloads": 1500,
    "requests in process": 2000,
    # To each of three layers.
    "layer messages": 500,
    "raw requests": 350,
    "described requests": 250,
}
# To look for faults: FUZZ_TIMES=10 makes ten times as many.
TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
# So that a limit does not answer all of them.
UNLIMITED = {"user_opens_per_second": None, "address_opens_per_second": None}
# To draw some together takes less than to draw each by itself.
TOGETHER = 5


def several(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[list[T]]:
    """Return a strategy for some inputs together."""
    return st.lists(strategy, min_size=TOGETHER, max_size=TOGETHER)


def inputs(kind: str, together: int = TOGETHER) -> hypothesis.settings:
    """Return Hypothesis' settings for inputs of this kind. Each run has the same ones.

    together: how many an example has.
    """
    return hypothesis.settings(
        max_examples=TIMES * INPUTS[kind] // together,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # To shrink a failure takes minutes; an input is short enough to read as it is.
        phases=[Phase.generate],
        print_blob=False,
    )
