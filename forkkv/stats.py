"""What every process of a table counts about itself, read from shared memory alone.

No process is asked anything, and no entry or lock is taken: so this works while the server hangs,
is stopped, or is gone, while a stopped process holds any lock, and when no entry is left.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from forkkv import objects
from forkkv._core import EVENTS, SYSCALLS
from forkkv.capacity import shared_memory_room
from forkkv.memory import read_memory
from forkkv.usage import read_usage

if TYPE_CHECKING:
    from forkkv._core import ParticipantFacts

SCHEMA = 1
ROLES = ("master", "keeper", "worker", "attached")
OWN_FIELDS = ("connections", "commands", "hits", "misses", "lock_waits")


def read_stats(name: str) -> dict[str, Any]:
    """The table's facts, what its memory is used for (see memory.py), what /dev/shm has room for
    (None: no limit of its own), one entry per process, and the sum of what departed ones counted.

    Raises NoSuchTable, or another _core.Error when the object cannot be opened.
    """
    table = objects.observe_table(name)
    try:
        memory = read_memory(table)
        departed = table.departed()["counts"]
        participants = table.participants()
    finally:
        table.close()
    room = shared_memory_room()
    participants.sort(key=lambda each: (ROLES.index(each["role"]), each["index"], each["pid"]))
    return {
        "schema": SCHEMA,
        "time": time.time(),
        "source": "forkkv",
        "table": {"name": name, **memory.facts},
        "memory": memory.figures(),
        "shared_memory": room and asdict(room),
        "processes": [_describe(each) for each in participants],
        "departed": departed,
    }


def _describe(participant: ParticipantFacts) -> dict[str, Any]:
    counts = participant["counts"]
    usage = None
    if participant["alive"]:
        usage = read_usage(participant["pid"], participant["start_ticks"])
    return {
        **{name: participant[name] for name in ("role", "index", "pid", "alive", "state")},
        "stopped": usage and usage.stopped,
        "generation": participant["generation"],
        "start_ticks": participant["start_ticks"],
        **{name: counts[name] for name in OWN_FIELDS},
        "cpu_seconds": usage and usage.cpu_seconds,
        "rss_bytes": usage and usage.rss_bytes,
        "private_bytes": usage and usage.private_bytes,
        "syscalls": {name: counts[name] for name in SYSCALLS},
        "counters": {name: counts[name] for name in EVENTS if name not in OWN_FIELDS},
    }
