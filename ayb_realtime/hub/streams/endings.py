"""Counts the streams that end, by why they do, and logs them now and then: thousands may end at once.

What else ends streams logs a line of its own: a role that is refused, a table that is locked, a task that fails.
"""

import logging
import time
from enum import StrEnum

from ayb_realtime.counts import counts

logger = logging.getLogger("ayb_realtime.hub")

# How long to log nothing more of one kind of ending.
QUIET_SECONDS = 10.0

LINE = "streams end: %d since the last such line, because %s"


class Ending(StrEnum):
    """Why streams end, in the words of the log."""

    EXPIRED = "their credentials have expired"
    DISPROVED = "their credentials no longer hold"
    DISCONNECTED = "their users were disconnected"
    BUFFER_FULL = "their clients read so slowly that BUFFER_BYTES wait"
    PROCESS_FULL = "their clients read slowly while waiting_bytes wait in the process"
    SLOW_SNAPSHOT = "their clients read their snapshot so slowly"
    NOTHING_READ = "their clients have read nothing for a long time"
    SERVER_STOPS = "the server stops"


class Endings:
    """The number of streams that have ended for each reason since that was last logged."""

    def __init__(self) -> None:
        self._counts: dict[Ending, int] = {}
        self._logged_at: dict[Ending, float] = {}

    def add(self, ending: Ending, streams: int = 1) -> None:
        """Count streams that end, and log them if the last line about such ones is long enough ago."""
        if streams:
            self._counts[ending] = self._counts.get(ending, 0) + streams
            counts.endings[ending.name.lower()] += streams
            self.log_due()

    def log_due(self) -> None:
        """Log what has been counted since the last line, where that is long enough ago."""
        now = time.monotonic()
        for ending in list(self._counts):
            if now - self._logged_at.get(ending, float("-inf")) >= QUIET_SECONDS:
                self._logged_at[ending] = now
                extra = {"event_name": "streams_end", "reason": ending.name.lower()}
                logger.info(LINE, self._counts.pop(ending), ending, extra=extra)


endings = Endings()
