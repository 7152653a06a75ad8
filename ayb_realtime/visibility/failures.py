"""Counts the failures of checks, and logs them now and then: a policy can fail with every change of its table.

Called by ``partwise_check``, and by the hub's ``planning`` for rows that it does not ask about.
"""

import logging
import time
from collections.abc import Mapping

from ayb_realtime.identity import Identity

logger = logging.getLogger(__package__)

# How long to log nothing more of one kind of failure of one table.
QUIET_SECONDS = 10.0

# Kinds of failure: what to log, for the table, the number of identities, and the first reason.
POLICY_FAILED = (
    "%s: the policies failed for %d identities, which are not sent those rows; the first with SQLSTATE %s."
    " manage.py realtime_explain shows Postgres' message"
)
UNANSWERED = (
    "%s: Postgres did not say what %d identities may see of some rows (%s);"
    " they are told to fetch the table again instead"
)
LOCKED_OUT = "%s: Postgres did not say what %d identities may see (%s); their streams end and resume"


class Failures:
    """The number of failures of each table and kind since they were last logged."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, str], int] = {}
        self._logged_at: dict[tuple[int, str], float] = {}

    def add(self, kind: str, relation: int, table: str, reasons: Mapping[Identity, str]) -> None:
        """Count failures, and log them if the last line is long enough ago.

        kind: POLICY_FAILED, UNANSWERED or LOCKED_OUT.
        reasons: for each identity for which a check failed, why.
        """
        if not reasons:
            return
        key = (relation, kind)
        self._counts[key] = self._counts.get(key, 0) + len(reasons)
        now = time.monotonic()
        if now - self._logged_at.get(key, float("-inf")) >= QUIET_SECONDS:
            self._logged_at[key] = now
            logger.warning(kind, table, self._counts.pop(key), next(iter(reasons.values())))


failures = Failures()
