"""The page ``docs/benchmarks.md``: what the runs found, with a plot for each workload, and nothing else.

``python -m benchmarks.page PAGE FILE ...`` writes it from the files of ``--json``. Of each workload, the last on each
major version of PostgreSQL counts.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.report import Result
from benchmarks.targets import Table
from benchmarks.workloads import NAMES, workload

HEAD = """# Benchmarks

`make bench` writes this page, and `python -m benchmarks NAME` runs one part. The benchmarks ran on {cores} cores that
other programs use too: the ratios count, not the figures themselves. All parties of a table were measured in one run,
one after another.

*Per CPU-s* means per second of processor time of all servers that work for a party. That includes its PostgreSQL and
Valkey, but neither the load generator nor the writer. Latencies begin just before the write is sent, so they include
the write itself. A table has a column for what was lost, repeated, inverted, misdirected, closed, refused or reset only
if some party has any. A client whose stream ends comes back with its last id, as a browser does.

Where the time goes, and what would improve it: [performance.md](performance.md).

{versions}
"""


def write(path: Path, results: Sequence[Result]) -> None:
    """Write the page, and its plots into a folder with the page's name."""
    newest = max(results, key=lambda result: (result.postgres, result.date))
    versions = " · ".join(f"{name} {version}" for name, version in newest.versions.items())
    parts = [HEAD.format(cores=newest.cores, versions=versions)]
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    parts += [_section(result, result.postgres == newest.postgres, folder) for result in results]
    path.write_text("\n".join(parts))


def _section(result: Result, is_newest: bool, folder: Path) -> str:
    """Write one workload. is_newest: whether it ran on the newest PostgreSQL of the page; else the title names it."""
    module, older = workload(result.name), "" if is_newest else str(result.postgres)
    title, plot = (f"{result.name}, PostgreSQL {older}", f"{result.name}-{older}") if older else (result.name,) * 2
    parts = [f"## {title}", (module.__doc__ or "").strip(), f"Measured on {result.date[:10]}."]
    if _plot(result, module.PLOTS, folder / f"{plot}.svg"):
        parts.append(f"![{title}]({folder.name}/{plot}.svg)")
    if module.TARGETS:
        parts.append(report.markdown(report.target_table(module.TARGETS, result.figures)))
    for title, rows in report.tables(result.figures):
        parts += [f"**{title}**" if title else "", report.markdown(rows)]
    parts += [f"Not measured: {party}." for party in report.missing(result.figures)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _plot(result: Result, names: Sequence[str], path: Path) -> bool:
    """Plot each of these figures that was measured in a panel of bars; return whether there were any."""
    shown = [name for name in names if any(name in found for found in result.figures.values())]
    if not shown:
        return False
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "ayb_realtime"
    from matplotlib import pyplot

    parties = len(result.figures)
    figure, axes = pyplot.subplots(len(shown), 1, figsize=(8, len(shown) * (0.6 + 0.28 * parties)), squeeze=False)
    for axis, name in zip(axes[:, 0], shown, strict=True):
        bars = _bars(result.figures, name)
        drawn = axis.barh(
            list(bars), list(bars.values()), color=["#0b6e4f" if "ours" in p else "#9db4ab" for p in bars]
        )
        axis.bar_label(drawn, fmt="{:,.3g}" if max(bars.values()) < 100 else "{:,.0f}", padding=3, fontsize=8)
        axis.invert_yaxis()
        axis.set_title(name, fontsize=10, loc="left")
        axis.margins(x=0.15)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return True


def _bars(figures: Table, name: str) -> dict[str, float]:
    return {party: found[name] for party, found in figures.items() if name in found}


def main() -> None:
    """Write the page, the first argument, from the files that follow it."""
    page, *files = map(Path, sys.argv[1:])
    found: dict[tuple[int, int], Result] = {}
    for file in files:
        read = json.loads(file.read_text())
        for result in read if isinstance(read, list) else [read]:
            measured = Result.from_json(result)
            found[NAMES.index(measured.name), -measured.postgres] = measured
    write(page, [found[place] for place in sorted(found)])


if __name__ == "__main__":
    main()
