"""``make test``: run every tox environment that this machine can run. The last lines name what was left out.

``python -m tests.suite [--complete] [ENVIRONMENT ...]``

--complete  fail if an environment was left out or a test was skipped
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
TOX = (sys.executable, "-m", "tox")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PROXIES = ("nginx", "caddy", "haproxy")
# What pytest says about skipped tests, and the chaos run about faults.
SKIPPED = re.compile(r"\b\d+ skipped\b.* in \d|^Left out: ")


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment of tox.ini: its name, its Python ("": any), and its programs, each as a choice of several."""

    name: str
    python: str = ""
    programs: tuple[tuple[str, ...], ...] = ()


# The whole suite takes minutes, so each environment differs from the others in several respects at once. .ci/run
# divides them between an old PostgreSQL and the newest: each of the two sees hostile settings. In "least" the
# hub and the relay have logins of their own, and an ordinary owner migrates.
ENVIRONMENTS = (
    Environment("lint"),
    Environment("py311-django52-hostile", "3.11"),
    Environment("py312-django60-least", "3.12"),
    Environment("py313-django61", "3.13"),
    Environment("py313-django61-hostile", "3.13"),
    Environment(
        "acceptance", programs=(("node",), ("npm",), CHROMIUM, *((name,) for name in PROXIES), ("systemd-analyze",))
    ),
    Environment("chaos"),
)


def main() -> int:
    """Run the environments and return an exit code: tox's, or 1 if a complete run left something out."""
    arguments = _arguments()
    chosen = [one for one in ENVIRONMENTS if not arguments.names or one.name in arguments.names]
    pythons = {version: path for version in ("3.11", "3.12", "3.13") if (path := find_python(version))}
    left_out = {one.name: missing for one in chosen if (missing := what_is_missing(one, pythons))}
    names = [one.name for one in chosen if one.name not in left_out]
    code, skipped = run_tox(names, list(pythons.values())) if names else (0, [])
    for line in report(names, left_out, skipped):
        sys.stdout.write(f"{line}\n")
    return code or int(arguments.complete and bool(left_out or skipped)) or int(not names)


def find_python(version: str) -> Path | None:
    """Return an interpreter of this version that runs, from the PATH or pyenv."""
    found = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [Path(found)] if found else []
    candidates += sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    return next((path for path in candidates if _runs(path)), None)


def _runs(python: Path) -> bool:
    return subprocess.run([python, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0


def what_is_missing(environment: Environment, pythons: dict[str, Path]) -> str:
    """Return what this machine lacks to run it; an empty string if nothing."""
    if environment.python and environment.python not in pythons:
        return f"Python {environment.python} was not found"
    missing = [names[0] for names in environment.programs if not any(map(shutil.which, names))]
    return f"{' and '.join(missing)} not found" if missing else ""


def run_tox(names: list[str], pythons: list[Path]) -> tuple[int, list[str]]:
    """Run tox and print its output; return its exit code and the lines about skipped tests."""
    chosen = ["-e", ",".join(names), *(["--discover", *map(str, pythons)] if pythons else [])]
    if len(names) > 1:
        # Installing takes one core of several. What fails here fails again below, where its output is shown.
        install = [*TOX, "run-parallel", "--notest", "--parallel", "2", "--parallel-no-spinner", *chosen]
        subprocess.run(install, cwd=CHECKOUT, check=False, stdout=subprocess.DEVNULL)
    command = [*TOX, "run", *chosen]
    skipped = []
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as tox:
        for line in _lines(tox):
            sys.stdout.write(line)
            sys.stdout.flush()
            if SKIPPED.search(line):
                skipped.append(line.strip("= \n"))
    return tox.returncode, skipped


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """Yield the output to its end, even after a Ctrl-C, which also reaches tox and ends it."""
    while process.stdout:
        try:
            yield from process.stdout
        except KeyboardInterrupt:
            continue
        return


def report(names: list[str], left_out: dict[str, str], skipped: list[str]) -> Iterator[str]:
    """Yield the closing lines."""
    yield ""
    yield f"Ran: {', '.join(names) or 'nothing'}."
    for line in skipped:
        yield f"Tests were skipped: {line}"
    for name, reason in left_out.items():
        yield f"Left out: {name}, because {reason}."
    if not left_out:
        yield "Nothing was left out."


def _arguments() -> argparse.Namespace:
    known = [one.name for one in ENVIRONMENTS]
    parser = argparse.ArgumentParser(prog="python -m tests.suite", description="Run the tests through tox.")
    parser.add_argument("--complete", action="store_true", help="fail when anything was left out or skipped")
    parser.add_argument("names", nargs="*", metavar="ENVIRONMENT", help=f"these only: {', '.join(known)}")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(known)):
        parser.error(f"no such environment: {', '.join(unknown)}; there are {', '.join(known)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
