"""Which changes wait to be handed out, and which stretch of the log to read since the layer left it out. Pure."""

import sys
from collections import deque
from dataclasses import dataclass
from itertools import takewhile

from ayb_realtime.log.changes import Announcement, Change
from ayb_realtime.log.slices import Slice, first_changes, slice_end

# How many changes wait in memory, and how many characters of records. The rest is read from the log.
WAITING_CHANGES = 5000
WAITING_CHARACTERS = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of the log that is being read: the positions after ``after``, up to ``upto``."""

    after: int
    upto: int


class Window:
    """Takes announcements in any order, and hands out every position exactly once, in order.

    head: the newest known position.
    position: everything up to it has been handed out, or skipped.
    reached: everything up to it has been handed out, waits, or is being read: the next change is missing.
    shown: nothing beyond this position is handed out or read, since the hub's database does not show it yet.
    """

    def __init__(self) -> None:
        self.head = self.position = self.reached = 0
        self.shown = sys.maxsize
        # Without a gap between them, up to ``reached``.
        self._waiting: deque[Change] = deque()
        self._waiting_characters = 0

    def offer(self, announcement: Announcement) -> None:
        """Take what continues the changes that wait, as far as there is room; an older announcement changes nothing."""
        self.raise_head(announcement.head)
        for change in announcement.changes:
            if change.position == self.reached + 1 and self._has_room():
                self._waiting.append(change)
                self._waiting_characters += change.characters
                self.reached += 1

    def raise_head(self, head: int) -> None:
        """Learn of a head; an older one than that which is known says nothing."""
        self.head = max(self.head, head)

    def take(self) -> Slice | None:
        """Hand out the next slice of what waits; None if nothing waits."""
        changes = first_changes(takewhile(lambda change: change.position <= self.shown, self._waiting))
        if not changes:
            return None
        for change in changes:
            self._waiting.popleft()
            self._waiting_characters -= change.characters
        self.position = changes[-1].position
        return Slice(changes, self.position)

    def open_gap(self) -> Gap | None:
        """Return what to read from the log, once nothing waits; None if the log is known to hold nothing more.

        Until ``fill``, ``go_back`` or ``skip_to`` closes the gap, changes behind it may come, and wait.
        """
        end = min(self.head, self.shown)
        if self._waiting or end <= self.reached:
            return None
        gap = Gap(self.position, min(end, slice_end(self.position)))
        self.reached = gap.upto
        return gap

    def fill(self, gap: Gap, read: Slice) -> None:
        """Hand out what was read. It may end before the gap does, or behind it."""
        if read.upto == gap.upto:
            self.position = gap.upto
        else:
            self.go_back(read.upto)

    def go_back(self, position: int) -> None:
        """Drop what waits; what comes after this position has to be read from the log."""
        self._waiting.clear()
        self._waiting_characters = 0
        self.position = self.reached = position

    def skip_to(self, head: int) -> None:
        """Go on after this position, which is the head, even if a later one was known."""
        self.go_back(head)
        self.head = head

    def _has_room(self) -> bool:
        return len(self._waiting) < WAITING_CHANGES and self._waiting_characters < WAITING_CHARACTERS
