"""CPU and memory of a process, as the kernel counts them."""

from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Usage:
    """What one process has used so far, and holds now."""

    user_seconds: float
    system_seconds: float
    rss_bytes: int  # with the part of the table that it has touched
    private_bytes: int  # without anything shared: what this process costs on its own

    @property
    def cpu_seconds(self) -> float:
        return self.user_seconds + self.system_seconds


def read_usage(pid: int) -> Usage | None:
    """None when the process is gone, or is not ours to look at."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            cpu, memory = process.cpu_times(), process.memory_info()
    except psutil.Error:
        return None
    return Usage(cpu.user, cpu.system, memory.rss, memory.rss - memory.shared)
