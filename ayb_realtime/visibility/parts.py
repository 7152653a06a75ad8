"""A part of a check: some rows, some identities, and how to cut it into smaller ones. Pure. Called by ``narrowing``."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import product
from math import isqrt
from typing import Generic, TypeVar

IdentityT = TypeVar("IdentityT", bound=Hashable)
T = TypeVar("T")

# A part of what failed gets half the time, but not less than this share of the time for a check.
LEAST_SHARE = 0.25
# Up to this many rows are asked about one by one.
FEW_ROWS = 25


@dataclass(frozen=True, slots=True)
class Part(Generic[IdentityT]):
    """Some rows and the identities to ask about them.

    rows: their positions.
    share: how much of the time for a check the part may take, from LEAST_SHARE to 1.
    """

    rows: tuple[int, ...]
    identities: tuple[IdentityT, ...]
    share: float

    def without(self, identity: IdentityT) -> "Part[IdentityT]":
        """Return the part for the other identities."""
        return Part(self.rows, tuple(each for each in self.identities if each != identity), self.share)

    def by_rows(self, share: float) -> "Iterator[Part[IdentityT]]":
        """Cut the rows so that, of n rows, the one that fails is found in two steps of about √n parts."""
        size = isqrt(len(self.rows)) if len(self.rows) > FEW_ROWS else 1
        for n in range(0, len(self.rows), size):
            yield Part(self.rows[n : n + size], self.identities, share)

    def quarters(self) -> "Iterator[Part[IdentityT]]":
        """Cut both the rows and the identities in half, and give each part less time."""
        for rows, identities in product(_halves(self.rows), _halves(self.identities)):
            yield Part(rows, identities, halved(self.share))


def halved(share: float) -> float:
    """Return half of a share, but not less than LEAST_SHARE."""
    return max(share / 2, LEAST_SHARE)


def _halves(things: tuple[T, ...]) -> list[tuple[T, ...]]:
    half = (len(things) + 1) // 2
    return [things[:half], things[half:]] if len(things) > 1 else [things]
