"""CPU and memory of a process as the kernel counts them, and whether it is stopped."""

from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Usage:
    """What one process has used so far, and holds now."""

    user_seconds: float
    system_seconds: float
    rss_bytes: int  # with the part of the table that it has touched
    private_bytes: int  # without anything shared: what this process costs on its own
    stopped: bool  # by a signal or a debugger, whatever it says of itself

    @property
    def cpu_seconds(self) -> float:
        return self.user_seconds + self.system_seconds


def read_usage(pid: int, start_ticks: int) -> Usage | None:
    """None when the process is gone, is not ours to look at, or started at another time: then it
    is a stranger, who has the pid now or has it in our PID namespace."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            if read_start_ticks(pid) != start_ticks:
                return None
            cpu, memory, status = process.cpu_times(), process.memory_info(), process.status()
    except (psutil.Error, OSError):
        return None
    stopped = status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    return Usage(cpu.user, cpu.system, memory.rss, memory.rss - memory.shared, stopped)


def read_start_ticks(pid: int) -> int:
    """Field 22 of /proc/PID/stat, exact, where psutil gives a time of the wall clock."""
    behind_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    return int(behind_name.split()[19])
