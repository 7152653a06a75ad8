"""Keeps repeated failures from filling the log."""

import logging
import time
from collections.abc import Mapping

# The least time between two warnings of the same text.
QUIET_SECONDS = 10.0


class QuietLogger:
    """Logs warnings, each of them at most once in QUIET_SECONDS."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._logged_at: dict[str, float] = {}

    def warning(self, line: str, *arguments: object, extra: Mapping[str, object], exc_info: bool = False) -> None:
        """Log a warning, unless the same line, before its arguments are put in, was logged a moment ago."""
        now = time.monotonic()
        if now - self._logged_at.get(line, float("-inf")) >= QUIET_SECONDS:
            self._logged_at[line] = now
            self._logger.warning(line, *arguments, exc_info=exc_info, extra=extra)
