"""Steps the wall clock of single processes while they run, if libfaketime is installed.

CLOCK_MONOTONIC, which programs use to wait, is not affected, as on a machine whose clock is set.
"""

from pathlib import Path

LIBRARIES = ("/usr/lib/*/faketime", "/usr/lib64/faketime", "/usr/lib/faketime")
NOT_INSTALLED = "libfaketime is not installed (on Debian: apt install libfaketime)"


def library() -> Path | None:
    """Return libfaketime's path; None if it is not installed."""
    found = (path for folder in LIBRARIES for path in Path("/").glob(f"{folder[1:]}/libfaketimeMT.so.1"))
    return next(found, None)


def environment(file: Path) -> dict[str, str]:
    """Return the environment of a process whose clock ``step`` may set through this file."""
    found = library()
    if found is None:
        return {}
    step(file, 0)
    return {
        "LD_PRELOAD": str(found),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",  # It reads the file every second.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",  # Otherwise each process would leave a file in /dev/shm.
        "NO_FAKE_STAT": "1",
    }


def step(file: Path, seconds: int) -> None:
    """Set the clock this many seconds ahead of the true time; behind it if negative."""
    new = file.with_suffix(".new")
    new.write_text(f"{seconds:+d}")
    new.chmod(0o644)
    new.rename(file)
