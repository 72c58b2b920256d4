"""How much memory a table gets when nobody says: what /dev/shm has room for, up to a default."""

import os
from dataclasses import dataclass
from typing import Final

from forkkv import _core
from forkkv.sizes import format_size, parse_size

MIB: Final = 1 << 20
DEFAULT_MEMORY: Final = parse_size("256mb")
SHARED_MEMORY: Final = "/dev/shm"


@dataclass(frozen=True)
class Room:
    """What the file system behind /dev/shm can hold."""

    total_bytes: int
    free_bytes: int

    def __str__(self) -> str:
        free, total = format_size(self.free_bytes), format_size(self.total_bytes)
        return f"{SHARED_MEMORY} has {free} free of {total}"


def shared_memory_room() -> Room | None:
    """None when it cannot be asked, or has no limit of its own (tmpfs with size=0)."""
    try:
        facts = os.statvfs(SHARED_MEMORY)
    except OSError:
        return None  # what is wrong with it the creation of the table will say
    if facts.f_blocks == 0:
        return None
    return Room(facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize)


def fitting_memory() -> int:
    """256 MiB, or what fits: three quarters of what /dev/shm has free, in whole MiB.

    The last quarter is for other tables and other programs; of little, all that a smallest table
    needs is taken. Raises TableFull when not even that is free.
    """
    room = shared_memory_room()
    if room is None:
        return DEFAULT_MEMORY
    if room.free_bytes < _core.MEMORY_MIN:
        raise _core.TableFull(
            f"{room}, and the smallest table takes {format_size(_core.MEMORY_MIN)}; `df "
            f"{SHARED_MEMORY}` and `ls -l {SHARED_MEMORY}` show what fills it: remove what is left "
            "over, or make it larger (container: --shm-size; host: mount -o remount,size=)"
        )
    share = room.free_bytes * 3 // 4 // MIB * MIB
    return min(DEFAULT_MEMORY, max(share, _core.MEMORY_MIN))
