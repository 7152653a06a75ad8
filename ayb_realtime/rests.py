"""How long to rest after a call that is made for all who wait, so that more of them share the next one. Pure."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

# In times of what the call took, and at most. So calls take at most a fifth of the time while callers come one after
# another, and a caller who comes alone does not wait.
FACTOR = 4
SECONDS = 0.05


class Rest:
    """The time until the next call may begin. May be used in several threads."""

    def __init__(self) -> None:
        self._until = 0.0

    @property
    def seconds_left(self) -> float:
        """For how long the next call has to wait; 0 or less: it may begin."""
        return self._until - time.monotonic()

    @contextmanager
    def after(self) -> Iterator[None]:
        """Rest after the call in this block."""
        began = time.monotonic()
        try:
            yield
        finally:
            ended = time.monotonic()
            self._until = ended + min(SECONDS, FACTOR * (ended - began))
