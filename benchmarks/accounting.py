"""CPU time and memory of processes, as the kernel accounts them. Linux only: everything comes from /proc."""

from __future__ import annotations

import platform
from pathlib import Path

_PROC = Path("/proc")
_KIB = 1024


class CannotMeasureError(Exception):
    """This machine does not offer what the benchmark measures with."""


def require_proc() -> None:
    """Raises CannotMeasureError where the scheduler's statistics are not to be had."""
    if not (_PROC / "self" / "schedstat").exists():
        raise CannotMeasureError("/proc/PID/schedstat is needed (Linux, a kernel with CONFIG_SCHED_INFO)")


def cpu_seconds(pid: int) -> float:
    """CPU seconds, user and system, that a process of one thread has had since it began.

    From the first field of /proc/PID/schedstat (nanoseconds on the CPU): utime and stime of /proc/PID/stat come
    in ticks of 10 ms, a third of what is measured here. Exact while the process waits, as a backend does
    between two statements.
    """
    return int((_PROC / str(pid) / "schedstat").read_text().split()[0]) / 1e9


def process_cpu_seconds(pid: int) -> float:
    """The same of a process with many threads: all that live. Go's runtime keeps its threads."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in (_PROC / str(pid) / "task").iterdir()) / 1e9


def resident_bytes(pid: int) -> tuple[int, int] | None:
    """Resident memory of a process now, and at its peak, in bytes; None when it has just ended.

    VmRSS and VmHWM of /proc/PID/status; a process that nobody has waited for yet has neither.
    """
    fields = dict(line.split(":", 1) for line in (_PROC / str(pid) / "status").read_text().splitlines())
    if "VmRSS" not in fields:
        return None
    now, peak = (int(fields[name].split()[0]) * _KIB for name in ("VmRSS", "VmHWM"))
    return now, peak


def cpu_model() -> str:
    """The CPU's name, as /proc/cpuinfo has it."""
    for line in (_PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def load_average() -> float:
    """Runnable processes, mean of the last minute: what else the machine was doing."""
    return float((_PROC / "loadavg").read_text().split()[0])
