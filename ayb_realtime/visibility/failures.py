"""What goes wrong in checks, counted, and logged once in a while: a policy can fail with every change of its table."""

import logging
import time
from collections.abc import Mapping

from ayb_realtime.identity import Identity

logger = logging.getLogger(__package__)

# Of one table and one kind of failure there is at most one line in so long.
QUIET_SECONDS = 10.0

REFUSED = "%s: the policies failed for %d identities, which are not sent those rows; the first with SQLSTATE %s"
UNANSWERED = (
    "%s: Postgres did not say what %d identities may see of some rows (%s);"
    " they are told to fetch the table again instead"
)
POSTPONED = "%s: Postgres did not say what %d identities may see (%s); their streams end and resume"


class Failures:
    """How often each kind of failure has happened to each table since it was last logged."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, str], int] = {}
        self._logged_at: dict[tuple[int, str], float] = {}

    def add(self, kind: str, relation: int, table: str, reasons: Mapping[Identity, str]) -> None:
        """Count these. kind: the line to log, for the table, how many there were, and the first reason."""
        if not reasons:
            return
        key = (relation, kind)
        self._counts[key] = self._counts.get(key, 0) + len(reasons)
        now = time.monotonic()
        if now - self._logged_at.get(key, float("-inf")) >= QUIET_SECONDS:
            self._logged_at[key] = now
            logger.warning(kind, table, self._counts.pop(key), next(iter(reasons.values())))


failures = Failures()
