"""Counts the failures of checks, and logs them now and then: a policy can fail with every change of its table.

Called by ``partwise_check``, and by the hub's ``planning`` for rows that it does not ask about.
"""

import logging
import shlex
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from ayb_realtime.conf import conf
from ayb_realtime.counts import counts
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table

logger = logging.getLogger(__package__)

# How long to log nothing more of one kind of failure of one table.
QUIET_SECONDS = 10.0


class Kind(StrEnum):
    """Kinds of failure: what to log, for the table, the number of identities, and the first reason."""

    POLICY_FAILED = (
        "%s: the policies failed for %d identities, which are not sent those rows; the first with SQLSTATE %s."
        " To see why, and with --pk for one row: manage.py realtime_explain %s"
    )
    UNANSWERED = (
        "%s: Postgres did not say what %d identities may see of some rows (%s);"
        " they are told to fetch the table again instead"
    )
    LOCKED_OUT = "%s: Postgres did not say what %d identities may see (%s); their streams end and resume"
    NOT_COMPARED = (
        "%s: Postgres could not compare %d values of filters with some rows (%s);"
        " the streams that have them are told to fetch the table again instead"
    )
    NOT_MADE = (
        "%s: %d identities are told to fetch the table again: the function that checks its rows cannot be made: %s"
    )


POLICY_FAILED, UNANSWERED, LOCKED_OUT, NOT_COMPARED, NOT_MADE = Kind


class Failures:
    """The number of failures of each table and kind since they were last logged."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, Kind], int] = {}
        self._logged_at: dict[tuple[int, Kind], float] = {}

    def add(self, kind: Kind, table: Table, reasons: Mapping[Any, str]) -> None:
        """Count failures, and log them if the last line is long enough ago.

        reasons: for each identity, or value of a filter, for which a check failed, why.
        """
        if not reasons:
            return
        key = (table.relation, kind)
        self._counts[key] = self._counts.get(key, 0) + len(reasons)
        counts.failures[f"{table.schema}.{table.name}", kind.name.lower()] += len(reasons)
        now = time.monotonic()
        if now - self._logged_at.get(key, float("-inf")) >= QUIET_SECONDS:
            self._logged_at[key] = now
            identity, reason = next(iter(reasons.items()))
            command = [_options(table, identity)] if kind is POLICY_FAILED else []
            level = logging.ERROR if kind is NOT_MADE else logging.WARNING
            extra = {"event_name": "check_fails", "kind": kind.name.lower()}
            logger.log(level, kind, table.name, self._counts.pop(key), reason, *command, extra=extra)


def _options(table: Table, identity: Identity) -> str:
    """Return the options of realtime_explain for a table and a subscriber."""
    name = table.name if table.schema == "public" else f"{table.schema}.{table.name}"
    user_id = dict(identity.settings).get("ayb.user_id")
    # The setting is default_identity's, or one of the same name.
    who = f"--user-id {shlex.quote(user_id)}" if user_id else "--user EMAIL"
    if identity.role == conf.anonymous_role:
        who = "--anonymous"
    return f"{who} --table {shlex.quote(name)}"


failures = Failures()
