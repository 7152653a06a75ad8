"""The table that a run ends with. Pure."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.chaos.checker import KINDS, Verdict
from tests.chaos.truth import Truth

NONE = "none"
COLUMNS = ("fault", "times", "changes", "deliveries", "resets", *KINDS, "longest silence")


@dataclass(slots=True)
class Line:
    """What happened under one fault, from its beginning to that of the next."""

    times: int = 0
    changes: int = 0
    deliveries: int = 0
    resets: int = 0
    silence: float = 0.0
    found: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))

    def add(self, other: "Line") -> None:
        """Add the other's counts to these."""
        self.times += other.times
        self.changes += other.changes
        self.deliveries += other.deliveries
        self.resets += other.resets
        self.silence = max(self.silence, other.silence)
        for kind, count in other.found.items():
            self.found[kind] += count


class Report:
    """Counts by fault.

    injected: when each fault began, and its name, in order.
    """

    def __init__(self, injected: Sequence[tuple[float, str]]) -> None:
        self._begins = [at for at, _ in injected]
        self._names = [NONE, *(name for _, name in injected)]
        self.lines: dict[str, Line] = {name: Line() for name in dict.fromkeys(self._names)}
        for name in self._names[1:]:
            self.lines[name].times += 1

    def add_truth(self, truth: Truth) -> None:
        """Count the committed changes."""
        for changes in truth.rows.values():
            for change in changes:
                self._line(change.started).changes += 1

    def add(self, verdict: Verdict) -> None:
        """Count what one stream received."""
        for committed, seconds in verdict.deliveries:
            self._line(committed).deliveries += 1
            # A delayed event counts for the fault that delayed it, even if its change was committed just before.
            line = self._line(committed + seconds)
            line.silence = max(line.silence, seconds)
        for at in verdict.resets:
            self._line(at).resets += 1
        for finding in verdict.findings:
            self._line(finding.at).found[finding.kind] += 1

    def merge(self, other: "Report") -> None:
        """Add another run's counts."""
        for name, line in other.lines.items():
            self.lines.setdefault(name, Line()).add(line)

    def _line(self, at: float) -> Line:
        return self.lines[self._names[bisect_right(self._begins, at)]]

    def total(self) -> Line:
        """Return all lines as one."""
        total = Line()
        for line in self.lines.values():
            total.add(line)
        return total

    def table(self) -> Iterator[str]:
        """Yield the lines of a Markdown table."""
        rows = [COLUMNS, *(_cells(name, line) for name, line in [*self.lines.items(), ("all", self.total())])]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for number, row in enumerate(rows):
            cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
            yield f"| {' | '.join(cells)} |"
            if number == 0:
                yield f"|{'|'.join(['-' * (widths[0] + 2), *('-' * (w + 1) + ':' for w in widths[1:])])}|"


def _cells(name: str, line: Line) -> tuple[str, ...]:
    numbers = (line.times, line.changes, line.deliveries, line.resets, *(line.found[kind] for kind in KINDS))
    return (name, *(f"{number:,}" for number in numbers), f"{line.silence:.1f} s")
