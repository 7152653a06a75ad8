"""What the servers under test cost: processor time, memory, threads.

Every server is a descendant of this process, so no list of servers is needed. This process, which writes, and the load
generator, which reads, do not count.
"""

import re
from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

CPU_SECONDS_MIN = 0.01  # One tick of the kernel.


@dataclass(frozen=True, slots=True)
class Usage:
    """What the servers have used so far, and hold now.

    cpu_seconds: by program; on Linux it includes children that have ended.
    anonymous_bytes: without files, and without memory that processes share, as PostgreSQL's do.
    peak_bytes: the sum of the peaks of each process, including shared memory; outside Linux the peak is not known, and
        this is what each holds now.
    """

    cpu_seconds: dict[str, float]
    anonymous_bytes: int
    peak_bytes: int
    threads: int

    def seconds_since(self, earlier: "Usage") -> dict[str, float]:
        """Return the processor time used since then, by program, and the total as ``all``: at least one tick."""
        spent = {name: seconds - earlier.cpu_seconds.get(name, 0.0) for name, seconds in self.cpu_seconds.items()}
        return {**spent, "all": max(sum(spent.values()), CPU_SECONDS_MIN)}


def usage(leave_out: Collection[int]) -> Usage:
    """Measure the servers. leave_out: processes that are not servers, such as the load generator."""
    spent: defaultdict[str, float] = defaultdict(float)
    anonymous_bytes = peak_bytes = threads = 0
    for process in _servers(leave_out):
        with suppress(psutil.NoSuchProcess), process.oneshot():  # If it has just ended.
            memory = process.memory_info()
            spent[process.name()] += sum(process.cpu_times()[:4])
            anonymous_bytes += memory.rss - getattr(memory, "shared", 0)
            peak_bytes += _peak_bytes(process.pid) or memory.rss
            threads += process.num_threads()
    return Usage(dict(spent), anonymous_bytes, peak_bytes, threads)


def cpu_seconds(pid: int) -> float:
    """Return the processor time that one process has used so far. Raises psutil.NoSuchProcess if it is gone."""
    return sum(psutil.Process(pid).cpu_times()[:4])


def _servers(leave_out: Collection[int]) -> set[psutil.Process]:
    others = [psutil.Process(pid) for pid in leave_out]
    left_out = {process for other in others for process in (other, *other.children(recursive=True))}
    return set(psutil.Process().children(recursive=True)) - left_out


def _peak_bytes(pid: int) -> int | None:
    """Return the peak that Linux records, which psutil does not read; None where there is no such record."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    noted = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(noted[1]) * 1024 if noted else None
