"""Run workloads: ``python -m benchmarks NAME [--quick] [--postgres FOLDER] [--json FILE]``, or ``all`` of them.

Prints tables. With ``--page FILE`` it also writes a page with plots, as ``make bench`` does. Everything runs on
the loopback address. If a party's package is not installed, the party is listed as not measured.
"""

import argparse
import json
import os
import resource
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import page, report
from benchmarks.report import Result
from benchmarks.versions import versions
from benchmarks.workloads import NAMES, workload


def main() -> int:
    """Run the workloads that the command line names; return the exit code."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # So that the with blocks end.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if arguments.postgres:
        os.environ["TEST_POSTGRES"] = str(arguments.postgres)
    results = []
    for name in NAMES if arguments.name == "all" else [arguments.name]:
        result = _run(name, quick=arguments.quick)
        results.append(result)
        _show(result)
        if arguments.page:
            page.write(arguments.page, results)
    if arguments.json:
        found = [result.as_json() for result in results]
        arguments.json.write_text(json.dumps(found if arguments.name == "all" else found[0], indent=1) + "\n")
    return 0


def _run(name: str, *, quick: bool) -> Result:
    figures = workload(name).run(quick)
    return Result(name, figures, versions(), datetime.now(UTC).isoformat(timespec="seconds"), os.cpu_count() or 0)


def _show(result: Result) -> None:
    lines = [f"== {result.name}, {result.date}, {result.cores} cores"]
    for title, rows in report.tables(result.figures):
        lines += ["", title, report.markdown(rows)]
    if targets := workload(result.name).TARGETS:
        lines += ["", report.markdown(report.target_table(targets, result.figures))]
    lines.append("")
    lines += [f"not measured: {party}" for party in report.missing(result.figures)]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure ayb_realtime beside others.")
    parser.add_argument("name", choices=(*NAMES, "all"), help="the workload")
    parser.add_argument("--quick", action="store_true", help="a smoke test: few subscribers, few events")
    parser.add_argument(
        "--postgres", type=Path, metavar="FOLDER", help="the binaries of another PostgreSQL than the embedded one"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--page", type=Path, metavar="FILE", help="also write a Markdown page, and its plots beside it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
