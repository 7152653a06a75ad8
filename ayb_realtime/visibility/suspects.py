"""Identities for which a table's policies did not answer in time: nobody is to wait for them again. Pure."""

import time
from collections.abc import Hashable, Iterable
from typing import TypeVar

Who = TypeVar("Who", bound=Hashable)

# For so long they are not asked about at all, and for so long then each by itself, after the others.
BARRED_SECONDS = 30.0
SUSPECTED_SECONDS = 600.0


class Suspects:
    """Who did not get an answer, of which table, and when."""

    def __init__(self) -> None:
        self._since: dict[tuple[int, Hashable], float] = {}

    def add(self, relation: int, who: Hashable) -> None:
        """Take down that nothing was found out for somebody."""
        now = time.monotonic()
        self._since = {key: at for key, at in self._since.items() if now - at < SUSPECTED_SECONDS}
        self._since[relation, who] = now

    def sort(self, relation: int, identities: Iterable[Who]) -> tuple[list[Who], list[Who], list[Who]]:
        """Return those that are barred, those that are suspected, and the others."""
        barred: list[Who] = []
        suspected: list[Who] = []
        others: list[Who] = []
        for identity in identities:
            seconds = time.monotonic() - self._since.get((relation, identity), float("-inf"))
            (barred if seconds < BARRED_SECONDS else suspected if seconds < SUSPECTED_SECONDS else others).append(
                identity
            )
        return barred, suspected, others


suspects = Suspects()
