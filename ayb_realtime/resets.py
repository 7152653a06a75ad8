"""When a stream is told that rows of its tables could not be checked. Pure; each subscriber has one.

Each such reset makes the client fetch a table, whose policies may not end. So there are few.
"""

import time

# Of each table there is at most one reset in so long.
RESET_SECONDS = 10.0


class Resets:
    """What a stream has been told, and is to be told.

    owed: the tables that are to be reset soon. Until then the stream must not say how far it is: if its client leaves,
        it has to come back to where it was before.
    """

    def __init__(self) -> None:
        self.owed: frozenset[int] = frozenset()
        self._sent_at: dict[int, float] = {}

    def may_send(self, relation: int) -> bool:
        """Tell whether to send a reset of a table now; otherwise it is owed."""
        now = time.monotonic()
        if relation in self.owed or now - self._sent_at.get(relation, -RESET_SECONDS) < RESET_SECONDS:
            self.owed |= {relation}
            return False
        self._sent_at[relation] = now
        return True

    def take_due(self) -> frozenset[int]:
        """Return the tables to reset now, which are owed no more."""
        if not self.owed:
            return self.owed
        now = time.monotonic()
        due = frozenset(relation for relation in self.owed if now - self._sent_at[relation] >= RESET_SECONDS)
        self._sent_at.update(dict.fromkeys(due, now))
        self.owed -= due
        return due
