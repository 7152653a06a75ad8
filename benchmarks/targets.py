"""The targets of a workload, as ratios of figures of one run. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

Table = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Target:
    """One target.

    what: its description.
    figure: computes the figure from the run's; raises KeyError if a party or figure that it needs is missing.
    at_least, at_most: the bound; one of the two is set.
    """

    what: str
    figure: Callable[[Table], float]
    at_least: float | None = None
    at_most: float | None = None

    def row(self, figures: Table) -> tuple[str, str, str, str]:
        """Return the target, its bound, the figure, and whether it was reached, as text."""
        bound = f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"
        try:
            value = self.figure(figures)
        except (KeyError, ZeroDivisionError):
            return self.what, bound, "not measured", "—"
        reached = value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0.0)
        return self.what, bound, f"{value:,.2f}", "yes" if reached else "**no**"


def ratio(figure: str, party: str, other: str) -> Callable[[Table], float]:
    """Return a function that divides a figure of one party by that of another."""
    return lambda figures: figures[party][figure] / figures[other][figure]


def value(figure: str, party: str) -> Callable[[Table], float]:
    """Return a function that picks a figure of a party."""
    return lambda figures: figures[party][figure]
