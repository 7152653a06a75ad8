"""What the servers under test cost, from /proc: processor time, memory, threads.

Every server is a child of this process, or a child of one, so nothing has to say which they are. This process, which
writes, and the load generator, which reads, are left out.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What the servers have used, and hold now.

    cpu_seconds: by program, of children that have ended, too.
    anonymous_bytes: memory of their own, without what they share with files and each other, as Postgres does.
    peak_bytes: by program, the most that it has held since it began, shared memory included.
    """

    cpu_seconds: dict[str, float]
    anonymous_bytes: int
    peak_bytes: dict[str, int]
    threads: int

    def seconds_since(self, earlier: "Usage") -> dict[str, float]:
        """Return the processor time used since, by program, and in all as ``all``, which is at least one tick."""
        spent = {name: seconds - earlier.cpu_seconds.get(name, 0.0) for name, seconds in self.cpu_seconds.items()}
        return {**spent, "all": max(sum(spent.values()), 1 / TICKS_PER_SECOND)}


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    program: str
    ticks: int
    threads: int


def usage(leave_out: Collection[int]) -> Usage:
    """Measure the servers. leave_out: processes that are none, such as the load generator."""
    processes = _all_processes()
    cpu_seconds: dict[str, float] = {}
    peak_bytes: dict[str, int] = {}
    anonymous_bytes = threads = 0
    for pid, process in processes.items():
        if _descends(pid, processes, leave_out):
            spent = process.ticks / TICKS_PER_SECOND
            cpu_seconds[process.program] = cpu_seconds.get(process.program, 0.0) + spent
            anonymous_bytes += _memory_bytes(pid, "RssAnon:")
            peak_bytes[process.program] = peak_bytes.get(process.program, 0) + _memory_bytes(pid, "VmHWM:")
            threads += process.threads
    return Usage(cpu_seconds, anonymous_bytes, peak_bytes, threads)


def cpu_seconds(pid: int) -> float:
    """Return the processor time that one process has used so far. Raises OSError where there is none."""
    return _read(Path(f"/proc/{pid}")).ticks / TICKS_PER_SECOND


def _descends(pid: int, processes: dict[int, _Process], leave_out: Collection[int]) -> bool:
    if pid == os.getpid():
        return False
    while pid in processes and pid not in leave_out:
        pid = processes[pid].parent
        if pid == os.getpid():
            return True
    return False


def _all_processes() -> dict[int, _Process]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                found[int(folder.name)] = _read(folder)
            except OSError:  # It has just ended.
                continue
    return found


def _read(folder: Path) -> _Process:
    # A program's name may hold spaces and brackets: what follows it begins after the last bracket. See proc(5).
    head, _, tail = (folder / "stat").read_text().rpartition(")")
    fields = tail.split()
    return _Process(
        parent=int(fields[1]),
        program=head.partition("(")[2],
        ticks=sum(map(int, fields[11:15])),
        threads=int(fields[17]),
    )


def _memory_bytes(pid: int, field: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)
