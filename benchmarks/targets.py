"""What a workload is to reach, as a ratio of figures of one run. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

Table = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to reach.

    what: in words.
    figure: makes the figure out of the run's; raises KeyError where a party or figure it needs is not there.
    at_least, at_most: what is to be reached.
    """

    what: str
    figure: Callable[[Table], float]
    at_least: float | None = None
    at_most: float | None = None

    def row(self, figures: Table) -> tuple[str, str, str, str]:
        """Return the target, what is to be reached, the figure, and whether it is, as text."""
        bound = f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"
        try:
            value = self.figure(figures)
        except (KeyError, ZeroDivisionError):
            return self.what, bound, "not measured", "—"
        reached = value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0.0)
        return self.what, bound, f"{value:,.2f}", "yes" if reached else "**no**"


def ratio(figure: str, party: str, other: str) -> Callable[[Table], float]:
    """Return a figure of one party divided by the same of another."""
    return lambda figures: figures[party][figure] / figures[other][figure]


def value(figure: str, party: str) -> Callable[[Table], float]:
    """Return a figure of a party."""
    return lambda figures: figures[party][figure]
