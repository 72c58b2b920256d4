"""Readings that a test makes up: what read_now() would have returned."""

from typing import Any

from lab import process_entry

from forkkv.perf.part import TABLE_COUNTS, TABLE_SIZES

Json = dict[str, Any]


def entry(role: str, index: int = 0, pid: int = 0, **changes: Any) -> Json:
    """One process of a reading. `calls` and `counters` are laid over zeros."""
    made = process_entry(role, index, pid or 100 + index)
    made |= {"stopped": False, "private_bytes": 12 << 20}
    made["syscalls"] |= changes.pop("calls", {})
    zeros = ("accepted", "accept_empty", "read_empty", "write_partial", "refused")
    made["counters"] = dict.fromkeys(zeros, 0) | changes.pop("counters", {})
    return made | changes


def busy(index: int, commands: int, **changes: Any) -> Json:
    """A worker that ran so many commands, with a read and a write for each."""
    calls = {"read": commands, "write": commands, "epoll_wait": commands}
    return entry("worker", index, commands=commands, calls=calls, hits=commands, **changes)


def reading(seconds: float, *entries: Json, **table: Any) -> Json:
    """A reading taken so many seconds after a machine started."""
    facts = {"name": "made-up", "keys": 7, "policy": "s3fifo", "created_ms": 1, "incarnation": 1}
    memory = dict.fromkeys((*TABLE_COUNTS, *TABLE_SIZES), 0)
    memory |= {"used_bytes": 1 << 20, "limit_bytes": 4 << 20}
    memory |= {name: table.pop(name) for name in list(table) if name in memory}
    return {
        "time": 1e9 + seconds,
        "boot_seconds": seconds,
        "table": facts | table,
        "memory": memory,
        "processes": list(entries),
    }
