"""Slices: the pieces in which the log is read, checked and delivered. Pure."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from ayb_realtime.log.changes import Change

# The most changes in a slice, and the most characters of their records; a larger change has a slice of its own.
SLICE_CHANGES = 500
SLICE_CHARACTERS = 256 * 1024
# To check and send a row of more characters than this would keep all other streams waiting. One more is read.
LARGEST_CHARACTERS = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Slice:
    """A piece of the log, to be delivered together.

    changes: in position order, every change after those delivered before, up to ``upto``, except those of ``skipped``.
    upto: the position up to which the slice goes; it may hold no change.
    skipped: the tables (oids) whose changes were left out.
    """

    changes: Sequence[Change]
    upto: int
    skipped: Set[int] = frozenset()

    @property
    def characters(self) -> int:
        """The size of its records."""
        return sum(change.characters for change in self.changes)


def slice_number(position: int) -> int:
    """Return which slice comes next after a position: its number is that position divided by SLICE_CHANGES."""
    return position // SLICE_CHANGES


def slice_end(after: int) -> int:
    """Return the last position of the slice that begins after a position: a multiple of SLICE_CHANGES.

    Readers that begin at different positions meet there, and share the slices that follow.
    """
    return (slice_number(after) + 1) * SLICE_CHANGES


def first_changes(changes: Iterable[Change]) -> list[Change]:
    """Return the first changes, as many as a slice holds: at least one, if there is one."""
    taken: list[Change] = []
    characters = 0
    for change in changes:
        characters += change.characters
        if taken and (characters > SLICE_CHARACTERS or len(taken) == SLICE_CHANGES):
            break
        taken.append(change)
    return taken
