"""What the kernel counted for this process, to hold beside the client's own counts."""

from __future__ import annotations

import os
from pathlib import Path

SOURCE = Path("/proc/self/io")


class KernelCalls:
    """Counts the reads and writes of the whole process from its making on, by SOURCE."""

    def __init__(self) -> None:
        self._before = _read_counts()

    def since(self) -> dict[str, int]:
        """Return {"write": ..., "read": ...} without the reads that asked; empty where the kernel
        does not tell."""
        now = _read_counts()
        if not now or not self._before:
            return {}
        asking = 1  # a read counts when it has returned, so only the first one is in `now`
        return {
            "write": now["syscw"] - self._before["syscw"],
            "read": now["syscr"] - self._before["syscr"] - asking,
        }


def _read_counts() -> dict[str, int]:
    try:
        fd = os.open(SOURCE, os.O_RDONLY)
    except OSError:
        return {}
    try:
        lines = os.read(fd, 4096).decode().splitlines()
    finally:
        os.close(fd)
    return {name: int(count) for name, count in (line.split(": ") for line in lines)}
