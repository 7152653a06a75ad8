"""Slices that were read for some of the streams that resume, kept for those that come by later. Pure."""

from collections.abc import Set

from ayb_realtime.log import slices
from ayb_realtime.log.slices import Slice

# How many slices are kept, each of at most SLICE_CHARACTERS.
KEPT_SLICES = 64


class KeptSlices:
    """Slices by the position before them. A position never means another change, so that none becomes out of date."""

    def __init__(self) -> None:
        self._slices: dict[int, Slice] = {}

    def get(self, after: int, upto: int, relations: Set[int]) -> Slice | None:
        """Return the slice after a position, if it ends at ``upto`` or before and covers all of these tables."""
        kept = self._slices.get(after)
        if kept is None or kept.upto > upto or not kept.skipped.isdisjoint(relations):
            return None
        return kept

    def put(self, after: int, read: Slice) -> None:
        """Keep a slice, unless it is too large; drop the one that was kept longest if there are too many."""
        if read.characters <= slices.SLICE_CHARACTERS:
            self._slices[after] = read
        if len(self._slices) > KEPT_SLICES:
            del self._slices[next(iter(self._slices))]

    def clear(self) -> None:
        """Drop all of them."""
        self._slices.clear()
