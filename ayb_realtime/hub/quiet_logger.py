"""A log that is not filled by what fails again and again."""

import logging
import time

# One line is logged at most once in so long.
QUIET_SECONDS = 10.0


class QuietLogger:
    """Logs warnings, each of them at most once in QUIET_SECONDS."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._logged_at: dict[str, float] = {}

    def warning(self, line: str, *arguments: object, exc_info: bool = False) -> None:
        """Log a warning, unless the same line was logged a moment ago. line: before the arguments are put in."""
        now = time.monotonic()
        if now - self._logged_at.get(line, float("-inf")) >= QUIET_SECONDS:
            self._logged_at[line] = now
            self._logger.warning(line, *arguments, exc_info=exc_info)
