"""When a stream is told that rows of its tables could not be checked. Pure; each subscriber has one.

Each such reset makes the client fetch a table, whose policies may not end. So there are few.
"""

import time

# Of each table so many may come at once, and then one in so long.
BURST = 5
RESET_SECONDS = 10.0


class Resets:
    """What a stream has been told, and is to be told.

    owed: the tables that are to be reset soon. Until then the stream must not say how far it is: if its client leaves,
        it has to come back to where it was before.
    """

    def __init__(self) -> None:
        self.owed: frozenset[int] = frozenset()
        # When as many have been sent as one in RESET_SECONDS would be.
        self._earned_at: dict[int, float] = {}

    def may_send(self, relation: int) -> bool:
        """Tell whether to send a reset of a table now; otherwise it is owed."""
        if relation in self.owed or not self._has_credit(relation):
            self.owed |= {relation}
            return False
        self._spend(relation)
        return True

    def take_due(self) -> frozenset[int]:
        """Return the tables to reset now, which are owed no more."""
        due = frozenset(relation for relation in self.owed if self._has_credit(relation))
        for relation in due:
            self._spend(relation)
        self.owed -= due
        return due

    def _has_credit(self, relation: int) -> bool:
        return self._earned_at.get(relation, 0.0) - time.monotonic() <= (BURST - 1) * RESET_SECONDS

    def _spend(self, relation: int) -> None:
        self._earned_at[relation] = max(self._earned_at.get(relation, 0.0), time.monotonic()) + RESET_SECONDS
