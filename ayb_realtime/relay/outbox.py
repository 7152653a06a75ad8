"""What the relay has still to send through the Channels layer. Pure.

A change that does not fit is left to the log: the hubs then hear only of the head, and read the change.
"""

from collections import deque
from collections.abc import Sequence

from ayb_realtime.log.changes import Announcement, Change

# The most characters of records that one message holds.
MESSAGE_CHARACTERS = 256 * 1024
# How much may wait while the layer is slow.
WAITING_CHARACTERS = 8 * 1024 * 1024
WAITING_CHANGES = 10_000


class Outbox:
    """Announcements in, in position order; as few messages as possible out."""

    def __init__(self) -> None:
        self._changes: deque[Change] = deque()
        self._characters = 0
        self._head = 0
        # Of what waits, the first has committed first.
        self._committed_at: float | None = None
        self._trace: str | None = None
        self._is_empty = True

    def put(self, announcement: Announcement) -> None:
        """Add an announcement. If too much waits then, leave the changes to the log."""
        self._committed_at = announcement.committed_at if self._committed_at is None else self._committed_at
        self._trace = self._trace or announcement.trace
        self._head, self._is_empty = announcement.head, False
        self._changes.extend(announcement.changes)
        self._characters += sum(change.characters for change in announcement.changes)
        if self._characters > WAITING_CHARACTERS or len(self._changes) > WAITING_CHANGES:
            self.leave_to_log()

    def leave_to_log(self) -> None:
        """Drop the changes, but not the head."""
        self._changes.clear()
        self._characters = 0

    def take(self) -> Announcement | None:
        """Return what the next message announces, of at most MESSAGE_CHARACTERS; None if nothing is left to send."""
        if self._is_empty:
            return None
        taken: list[Change] = []
        size = 0
        while self._changes:
            change = self._changes[0]
            size += change.characters
            # Changes in between may have been left to the log.
            if taken and (size > MESSAGE_CHARACTERS or change.position != taken[-1].position + 1):
                return self._announcement(taken[-1].position, taken)
            self._changes.popleft()
            self._characters -= change.characters
            if size > MESSAGE_CHARACTERS:
                # Too large for a message of its own.
                return self._announcement(change.position, [])
            taken.append(change)
        self._is_empty = True
        last = self._announcement(self._head, taken)
        self._committed_at = self._trace = None
        return last

    def _announcement(self, head: int, taken: Sequence[Change]) -> Announcement:
        return Announcement(head, tuple(taken), self._committed_at, self._trace)
