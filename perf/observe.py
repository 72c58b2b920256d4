"""Readings of everything that costs its subject nothing: a table's counters, and /proc.

A run holds one reading at each edge of its window and at each interval in between. `stats` is what
`forkkv stats --json` prints (None without a table), `usage` is by pid, as the kernel counts it.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from forkkv import objects
from forkkv._core import Error
from forkkv.stats import read_stats

TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
# Places in /proc/PID/stat, counted from behind the name of the program.
STAT: Final = {"state": 0, "minor_faults": 7, "major_faults": 9, "user": 11, "system": 12}
STATUS: Final = {
    "voluntary_ctxt_switches": "voluntary_switches",
    "nonvoluntary_ctxt_switches": "involuntary_switches",
    "Threads": "threads",
}
__all__ = ["Error", "participants", "read_usage", "take"]

ZOMBIE: Final = "Z"  # the state of a process that has ended, and whose parent does not know yet
IO: Final = {"rchar": "read_bytes", "wchar": "written_bytes"}  # of read() and write(), not recv()

Json = dict[str, Any]


def take(table: str | None, pids: Iterable[int | None]) -> Json:
    """One reading. `stats` is None when the table is gone, or there is none."""
    stats = None
    if table is not None:
        try:
            stats = read_stats(table)
        except Error:
            stats = None
    usage = {str(pid): used for pid in pids if pid is not None and (used := read_usage(pid))}
    return {"time": time.time(), "stats": stats, "usage": usage}


def participants(table: str | None, strict: bool = False) -> Json:
    """Only who has the table open, for a quick look. Empty without a table; `strict`: raises Error
    when it cannot be opened."""
    if table is None:
        return {"processes": []}
    try:
        opened = objects.observe_table(table)
    except Error:
        if strict:
            raise
        return {"processes": []}
    try:
        return {"processes": opened.participants()}
    finally:
        opened.close()


def read_usage(pid: int) -> Json | None:
    """CPU, faults, context switches and state of a process; None when it is gone."""
    folder = Path("/proc") / str(pid)
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        used: Json = {name: fields[place] for name, place in STAT.items()}
        used |= {name: int(used[name]) for name in ("minor_faults", "major_faults")}
        used["user_seconds"] = int(used.pop("user")) / TICKS_PER_SECOND
        used["system_seconds"] = int(used.pop("system")) / TICKS_PER_SECOND
        used |= _named((folder / "status").read_text(), STATUS)
    except (OSError, IndexError):
        return None
    with suppress(OSError, ValueError):  # not on every kernel
        ran, waited, _ = map(int, (folder / "schedstat").read_text().split())
        used |= {"cpu_seconds": ran / 1e9, "runqueue_seconds": waited / 1e9}
    with suppress(OSError):  # only of one's own processes
        used |= _named((folder / "io").read_text(), IO)
    return used


def _named(text: str, wanted: dict[str, str]) -> Json:
    """The wanted lines of a file of `name: number` lines, by their names here."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {wanted[name]: int(value) for name, value in pairs if name in wanted}
