"""A server as a child process: started, waited for, stopped; never left behind, even if this process is killed.

It gets a session of its own, so that Ctrl-C in a terminal reaches only this process, which stops its children in order.
"""

import contextlib
import ctypes
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from embedded.account import CURRENT, Account

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class ServerError(RuntimeError):
    """A server could not be started. The message says which, why, and how its log ends."""


class Child:
    """A running process, and the file that its output goes to; None: to this process' own output."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, log: Path | None) -> None:
        self.process = process
        self.name = name
        self.log = log

    @classmethod
    def start(
        cls,
        command: Sequence[str | Path],
        *,
        name: str = "",
        log: Path | None = None,
        account: Account = CURRENT,
        env: Mapping[str, str] | None = None,
        cwd: Path | str = "/",
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Self:
        """Start ``command``. If this process dies without stopping it, Linux sends it ``stop_signal``.

        name: its name in error messages; by default that of the program.
        The signal needs a single-threaded caller: to the kernel, the parent is the thread that started the child.
        """
        with _output(log) as output:
            process = subprocess.Popen(  # noqa: S603
                [*account.prefix(stop_signal), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                cwd=cwd,
                env=env,
                start_new_session=True,
                preexec_fn=_dies_with_us(stop_signal),
                user=account.user,
                group=account.group,
                extra_groups=account.extra_groups,
            )
        return cls(process, name or Path(command[0]).name, log)

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 60) -> None:
        """Call ``ready`` at growing intervals until it returns True.

        Raises ServerError, with the end of the log, if the process ends first or ``seconds`` pass.
        """
        deadline = time.monotonic() + seconds
        pause = 0.02
        while not ready():
            if self._ends_within(pause):
                raise ServerError(f"{self.name} ended with exit code {self.process.returncode}.{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} was not ready within {seconds:.0f} seconds.{self.log_tail()}")
            pause = min(pause * 1.5, 0.5)

    def stop(self, stop_signal: signal.Signals = signal.SIGTERM, *, seconds: float = 30) -> int:
        """Ask the process to stop, wait, and kill it if it does not; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(stop_signal)
        if not self._ends_within(seconds):
            self.process.kill()
        return self.process.wait()

    def log_tail(self, lines: int = 15) -> str:
        """Return the log's last lines as the end of an error message; an empty string if there are none."""
        if self.log is None or not (text := self.log.read_text(errors="replace").strip()):
            return ""
        return f" Its log {self.log} ends with:\n" + "\n".join(text.splitlines()[-lines:])

    def _ends_within(self, seconds: float) -> bool:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


@contextlib.contextmanager
def _output(log: Path | None) -> Iterator[int | None]:
    if log is None:
        yield None
        return
    with log.open("wb") as file:
        yield file.fileno()


def _dies_with_us(stop_signal: signal.Signals) -> Callable[[], object] | None:
    """Return what the child runs between fork and exec; None if this process has threads: Python is unsafe then."""
    if _libc is None or threading.active_count() > 1:
        return None
    prctl = _libc.prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(stop_signal))
