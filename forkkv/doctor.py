"""MEMORY DOCTOR: what is wrong with a table's memory, said from real figures, and the next step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from forkkv.capacity import Room
from forkkv.memory import KEYS_MIN, Memory
from forkkv.sizes import format_size

FULL: Final = 0.9  # of the room for items is live; writes are refused near 0.94
NEARLY_FULL: Final = 0.8
COPIED_MOST: Final = 8  # bytes per byte freed: most of what is written is written several times
GHOSTS_MOST: Final = 0.5  # of the evicted keys are wanted back soon; 0.2 is usual
EVICTED_LEAST: Final = 1000  # to judge by
INDEX_MOST: Final = 64  # bytes of index per key; some 15 are usual
INDEX_PAGE: Final = 4096  # that each partition has from the start
INDEX_SHARE: Final = 1 / 16  # of the limit, below which nobody needs to care

Rule = Callable[[Memory, Room | None], str | None]


def examine(memory: Memory, room: Room | None) -> str:
    """One paragraph per finding, or one that says that all is well and why."""
    found = [finding for rule in RULES if (finding := rule(memory, room))]
    return "\n".join(f"* {finding}" for finding in found) or _all_is_well(memory)


def _all_is_well(memory: Memory) -> str:
    facts = memory.facts
    return (
        f"All is well: {format_size(memory.used_bytes)} of {format_size(memory.limit_bytes)} are "
        f"used, {memory.live_share:.0%} of the room for items is live"
        f"{_of_each_key(memory)}; policy {facts['policy']}."
    )


def _of_each_key(memory: Memory) -> str:
    keys, overhead = memory.facts["keys"], memory.overhead_per_key or 0
    return f", and each of {keys} keys costs {overhead:.1f} bytes" if keys >= KEYS_MIN else ""


def _full(memory: Memory, room: Room | None) -> str | None:
    share = memory.live_share
    if memory.facts["policy"] != "noeviction" or share < NEARLY_FULL:
        return None
    refused = memory.counts["refused"]
    what = (
        f"The table is full: {share:.0%} of the room for items is live, and the rest is needed to "
        f"collect garbage. Writes that need more get -OOM (refused so far: {refused})."
        if share >= FULL
        else f"The table is nearly full: {share:.0%} of the room for items is live. At 94% writes "
        "that need more get -OOM."
    )
    return (
        f"{what} Delete keys, start the server with more than --memory "
        f"{format_size(memory.limit_bytes)}, or let it evict keys that are little used: CONFIG SET "
        "maxmemory-policy s3fifo"
    )


def _refused(memory: Memory, room: Room | None) -> str | None:
    refused, share = memory.counts["refused"], memory.live_share
    if not refused or share >= NEARLY_FULL:
        return None
    return (
        f"Writes refused so far: {refused}, though only {share:.0%} of the room for items is live: "
        "there were more keys then, or /dev/shm was full, or values larger than a segment "
        f"({format_size(memory.facts['segment_bytes'])}) found no neighbouring ones. If it goes "
        f"on, start the server with more than --memory {format_size(memory.limit_bytes)}."
    )


def _small_shared_memory(memory: Memory, room: Room | None) -> str | None:
    growth = memory.limit_bytes - memory.used_bytes
    if room is None or room.free_bytes >= growth:
        return None
    return (
        f"{room}, but the limit lets the table take {format_size(growth)} more: when it is full, "
        "writes fail although the limit is not reached. `df /dev/shm` and `ls -l /dev/shm` show "
        "what fills it; make it larger (container: --shm-size), or start with less --memory."
    )


def _much_copying(memory: Memory, room: Room | None) -> str | None:
    copied = memory.copied_per_freed
    if copied is None or copied < COPIED_MOST or memory.freed_bytes < memory.limit_bytes:
        return None
    return (
        f"Reclaim copied {copied:.2f} bytes for each byte that it freed: nearly all it finds is "
        "live, and writes pay for moving it. Start the server with more --memory, or store less."
    )


def _early_eviction(memory: Memory, room: Room | None) -> str | None:
    evicted, missed = memory.counts["evicted"], memory.counts["ghost_hits"]
    if evicted < EVICTED_LEAST or missed < GHOSTS_MOST * evicted:
        return None
    return (
        f"Of {evicted} evicted keys {missed} were stored again soon after: what is in use is "
        "larger than the table. Start the server with more --memory."
    )


def _no_ghosts(memory: Memory, room: Room | None) -> str | None:
    if memory.facts["policy"] == "noeviction" or memory.facts["ghost_bytes"]:
        return None
    return (
        "There was no memory for the list of evicted keys, so a key that comes back is taken for "
        "new, and eviction chooses worse. Delete some, and then: CONFIG SET maxmemory-policy "
        f"{memory.facts['policy']}"
    )


def _large_index(memory: Memory, room: Room | None) -> str | None:
    index, keys = memory.facts["index_bytes"], memory.facts["keys"]
    usual = 2 * INDEX_PAGE * memory.facts["partitions"]
    if index <= max(usual, INDEX_SHARE * memory.limit_bytes, INDEX_MOST * keys):
        return None
    return (
        f"The index takes {format_size(index)} for {keys} keys: it has grown for more, and keeps "
        "its size for those to come. Only a new table is smaller: stop the server without --keep, "
        "which drops all keys, and start it again."
    )


RULES: Final[tuple[Rule, ...]] = (
    _full,
    _refused,
    _small_shared_memory,
    _much_copying,
    _early_eviction,
    _no_ghosts,
    _large_index,
)
