"""Limits how often a stream is sent a reset of a table for rows about which Postgres did not answer. Pure.

Called by ``subscriber``.

Such a reset makes the client fetch a table whose policies may never end, so few are sent.
"""

import time

# How many resets of one table may be sent at once; after that, one in RESET_SECONDS.
BURST = 5
RESET_SECONDS = 10.0


class UnansweredResets:
    """The resets for unanswered rows that a stream has been sent, and those that it is owed.

    owed: the tables to reset later. Until then the stream must not tell its position: a client that leaves has to come
        back to the position before.
    """

    def __init__(self) -> None:
        self.owed: frozenset[int] = frozenset()
        # Table (oid) → when a rate of one reset per RESET_SECONDS will have caught up with those sent: a token bucket.
        self._earned_at: dict[int, float] = {}

    def may_send(self, relation: int) -> bool:
        """Return whether to send a reset of a table now; otherwise it is owed."""
        if relation in self.owed or not self._has_credit(relation):
            self.owed |= {relation}
            return False
        self._spend(relation)
        return True

    def take_due(self) -> frozenset[int]:
        """Return the tables to reset now, and no longer owe them."""
        due = frozenset(relation for relation in self.owed if self._has_credit(relation))
        for relation in due:
            self._spend(relation)
        self.owed -= due
        return due

    def _has_credit(self, relation: int) -> bool:
        return self._earned_at.get(relation, 0.0) - time.monotonic() <= (BURST - 1) * RESET_SECONDS

    def _spend(self, relation: int) -> None:
        self._earned_at[relation] = max(self._earned_at.get(relation, 0.0), time.monotonic()) + RESET_SECONDS
