"""A stream that is sent the rows that are there, when it begins and after each reset."""

from collections.abc import Callable, Container
from typing import Any

from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.reset_reasons import ResetReason

# No log goes back to this position, so a client that resumes there is sent a snapshot. At an empty id a browser forgets
# its position, but then the one in the stream's address counts again. ``without_ids`` leaves an id without a blank.
NO_POSITION = b"id:0\n"


class SnapshotSubscriber(Subscriber):
    """A subscriber whose client need not fetch its tables by itself.

    awaits_snapshot: whether a snapshot has to come first, and so nothing names a position.
    repeats: how often that snapshot was begun again.
    told: positions after ``position`` whose changes the client knows of all the same, from its last snapshot.
    """

    __slots__ = ("_on_reset", "awaits_snapshot", "failure", "repeats", "told")

    def __init__(self, *arguments: Any, on_reset: Callable[["SnapshotSubscriber"], None], **settings: Any) -> None:
        self.awaits_snapshot = False
        self.failure = ""
        self.repeats = 0
        self.told: tuple[range, ...] = ()
        self._on_reset = on_reset
        super().__init__(*arguments, **settings)

    def set_baseline(self, position: int, told: tuple[range, ...] = ()) -> None:
        """Assume that the client knows what its tables hold up to this position, and at those positions after it."""
        super().set_baseline(position)
        self.told = told

    def reset(self, reason: ResetReason, relations: Container[int]) -> None:
        """Tell the client that its tables are sent again, and have that done, unless they are about to be."""
        if not self.awaits_snapshot and any(relation in relations for relation in self.relations):
            self.awaits_snapshot = True
            if self._unanswered_resets is not None:
                self._unanswered_resets.owed = frozenset()  # The snapshot has these tables, too.
            super().reset(reason, relations)
            self._on_reset(self)

    def reset_event(self, reason: ResetReason, names: list[str]) -> bytes:
        """Encode the event that tells the client to drop its rows, and that it is to come back to a snapshot."""
        return NO_POSITION + super().reset_event(reason, names)

    @property
    def may_tell_position(self) -> bool:
        """Whether a client that comes back to the position misses nothing."""
        return not self.awaits_snapshot and super().may_tell_position
