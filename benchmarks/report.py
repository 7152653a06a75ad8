"""Figures as text: tables for a terminal or a Markdown page. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.targets import Table, Target

# Left out of a table if they are zero for every party.
NOTHING = ("lost", "repeated", "inverted", "misdirected", "closed", "refused", "resets")
# Only in the JSON.
LEFT_OUT = ("seconds", "delivered")


@dataclass(frozen=True, slots=True)
class Result:
    """What a workload has measured. figures: party → figure → number; a party without figures was missing."""

    name: str
    figures: Table
    versions: dict[str, str]
    date: str
    cores: int

    @property
    def postgres(self) -> int:
        """Return the major version of its PostgreSQL."""
        return int(self.versions["PostgreSQL"].partition(".")[0])

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` writes."""
        return {
            "workload": self.name,
            "figures": self.figures,
            "versions": self.versions,
            "date": self.date,
            "cores": self.cores,
        }

    @classmethod
    def from_json(cls, read: dict[str, Any]) -> "Result":
        """Return what ``as_json`` wrote."""
        return cls(read["workload"], read["figures"], read["versions"], read["date"], read["cores"])


def tables(figures: Table) -> list[tuple[str, list[list[str]]]]:
    """Return a table for each title that figures have before a colon: the title and the rows, with their head first."""
    titles = dict.fromkeys(name.rpartition(": ")[0] for party in figures.values() for name in party)
    return [(title, _table(title, figures)) for title in titles]


def missing(figures: Table) -> list[str]:
    """Return the parties that were not measured, each with the reason."""
    return [party for party, found in figures.items() if not found]


def target_table(targets: Iterable[Target], figures: Table) -> list[list[str]]:
    """Return the targets, each with what was reached."""
    rows = [list(target.row(figures)) for target in targets]
    return [["target, a ratio unless it says otherwise", "to reach", "measured", "reached"], *rows]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Write rows as a Markdown table that is readable as text, too. All columns but the first are right-aligned."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [[row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
             for row in rows]  # fmt: skip
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], rule, *lines[1:]])


def _table(title: str, figures: Table) -> list[list[str]]:
    prefix = f"{title}: " if title else ""
    here = {
        party: {name.removeprefix(prefix): value for name, value in found.items() if name.rpartition(": ")[0] == title}
        for party, found in figures.items()
    }
    here = {party: found for party, found in here.items() if found}
    names = [name for name in dict.fromkeys(name for found in here.values() for name in found)
             if name not in LEFT_OUT and (name not in NOTHING or any(f.get(name) for f in here.values()))]  # fmt: skip
    return [["", *names], *([party, *(_number(found.get(name)) for name in names)] for party, found in here.items())]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
