"""What a table's memory is used for: the figures of stats, INFO and MEMORY, made in one place.

`limit` is what the object may ever take. `used` is what the kernel charges for it now, and the sum
of `live`, `dead`, `index`, `ghosts`, `fixed` and `other`. `free` is what items may still take; part
of it is reserved already, so it is in `other` as well, and part of it (`reserve`) is kept back for
reclaim. `overhead_per_key` is what an average key costs beside its own bytes and its value's: the
head of its item, its expiry if it has one, and its share of the index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from forkkv._core import Facts, Table

HEAD_BYTES: Final = 8  # of each item
EXPIRY_BYTES: Final = 8  # more, of an item that expires
KEYS_MIN: Final = 1000  # with fewer, the index as it is made at first tells nothing about one key
Figure = int | float | None


@dataclass(frozen=True)
class Memory:
    """One reading of a table: its facts, and what all its processes counted since it was made."""

    facts: Facts
    counts: Mapping[str, int]

    @property
    def limit_bytes(self) -> int:
        return self.facts["memory_limit_bytes"]

    @property
    def used_bytes(self) -> int:
        return self.facts["memory_used_bytes"]

    @property
    def heads_bytes(self) -> int:
        """Heads and expiries of the live items."""
        return HEAD_BYTES * self.facts["keys"] + EXPIRY_BYTES * self.facts["expiring"]

    @property
    def other_bytes(self) -> int:
        """Segments reserved and not written, and a page of counters for each process."""
        items = self.facts["live_bytes"] + self.facts["dead_bytes"]
        return max(0, self.used_bytes - items - self.upkeep_bytes)

    @property
    def upkeep_bytes(self) -> int:
        """What is neither items nor room for items: index, ghosts, and what is fixed."""
        return sum(self.facts[part] for part in ("index_bytes", "ghost_bytes", "fixed_bytes"))

    @property
    def live_share(self) -> float:
        """Of the room for items, the reserve left out: 0 to 1. Near 15/16 writes are refused."""
        live = self.facts["live_bytes"]
        free = self.facts["free_bytes"] - self.facts["reserve_bytes"]
        return live / max(live + self.facts["dead_bytes"] + free, 1)

    @property
    def overhead_per_key(self) -> float | None:
        """Bytes; None without keys. Padding of 0 to 7 bytes per item is not in it."""
        keys = self.facts["keys"]
        return (self.heads_bytes + self.facts["index_bytes"]) / keys if keys else None

    @property
    def freed_bytes(self) -> int:
        """For the next writes: of the segments that were freed, what was not copied elsewhere."""
        return self.counts["bytes_freed"]

    @property
    def copied_per_freed(self) -> float | None:
        """Bytes of live items that reclaim had to copy for each byte it freed; None: it freed none.

        0 is garbage only; at 9 nine tenths of a segment live, and a tenth is gained by moving them.
        """
        return self.counts["bytes_copied"] / self.freed_bytes if self.freed_bytes else None

    def figures(self) -> dict[str, Figure]:
        """Everything by name, for programs. Bytes, counts, and two quotients."""
        facts = self.facts
        return {
            "limit_bytes": self.limit_bytes,
            "used_bytes": self.used_bytes,
            "live_bytes": facts["live_bytes"],
            "dead_bytes": facts["dead_bytes"],
            "index_bytes": facts["index_bytes"],
            "ghost_bytes": facts["ghost_bytes"],
            "fixed_bytes": facts["fixed_bytes"],
            "other_bytes": self.other_bytes,
            "free_bytes": facts["free_bytes"],
            "reserve_bytes": facts["reserve_bytes"],
            "overhead_per_key": self.overhead_per_key,
            "evicted": self.counts["evicted"],
            "expired": self.counts["expired"],
            "ghost_hits": self.counts["ghost_hits"],
            "refused": self.counts["refused"],
            "copied_bytes": self.counts["bytes_copied"],
            "freed_bytes": self.freed_bytes,
            "copied_per_freed": self.copied_per_freed,
        }


def read_memory(table: Table) -> Memory:
    """Reads the table's facts, and sums what its processes counted, those that are gone as well."""
    counted = [each["counts"] for each in table.participants()]
    counted.append(table.departed()["counts"])
    totals = {name: sum(counts[name] for counts in counted) for name in counted[-1]}
    return Memory(table.facts(), totals)
