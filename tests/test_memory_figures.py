"""The figures of a table's memory add up, and the doctor reads them as a person would."""

import random
from typing import Any

import pytest

import forkkv
from forkkv import _core
from forkkv.capacity import MIB, Room
from forkkv.doctor import examine
from forkkv.memory import Memory, read_memory

PLENTY = Room(1 << 40, 1 << 40)
COUNTS = {"evicted": 0, "expired": 0, "ghost_hits": 0, "refused": 0}
COUNTS |= {"bytes_copied": 0, "bytes_freed": 0}


def memory(counts: dict[str, int] | None = None, **changes: Any) -> Memory:
    """A table of 64 MiB, half full, in good health but for the changes."""
    facts: Any = {
        "memory_limit_bytes": 64 * MIB,
        "memory_used_bytes": 40 * MIB,
        "live_bytes": 30 * MIB,
        "dead_bytes": 2 * MIB,
        "free_bytes": 28 * MIB,
        "reserve_bytes": MIB,
        "index_bytes": 2 * MIB,
        "ghost_bytes": 0,
        "fixed_bytes": MIB,
        "segment_bytes": 1 << 16,
        "partitions": 256,
        "keys": 100_000,
        "expiring": 50_000,
        "policy": "noeviction",
    }
    return Memory(facts | changes, COUNTS | (counts or {}))


def test_what_is_used_is_the_sum_of_its_parts(table: _core.Table) -> None:
    for number in range(3000):
        table.set(f"k{number}", "v" * 500, ttl=1000 if number % 2 else None)
    for number in range(2000):
        table.set(f"k{number}", "w" * 400)
    figures = read_memory(table).figures()
    parts = ("live", "dead", "index", "ghost", "fixed", "other")
    assert figures["used_bytes"] == sum(figures[f"{part}_bytes"] or 0 for part in parts)
    assert figures["live_bytes"] == sum(
        item_bytes(len(f"k{number}"), 400 if number < 2000 else 500, number >= 2000 and number % 2)
        for number in range(3000)
    )
    assert figures["dead_bytes"]


def item_bytes(key: int, value: int, expires: int) -> int:
    """Head, expiry, key and value, padded to eight bytes."""
    return (8 + 8 * expires + key + value + 7) // 8 * 8


def test_overhead_is_head_expiry_and_index_of_an_average_key() -> None:
    assert memory().overhead_per_key == pytest.approx(8 + 8 * 0.5 + 2 * MIB / 100_000)
    assert memory(keys=0).overhead_per_key is None


def test_copying_is_measured_by_what_it_freed(table_name: str) -> None:
    assert memory().copied_per_freed is None
    with forkkv.attach(table_name, create=True, memory="4mb") as table:
        draw = random.Random(1)
        for _ in range(20_000):
            table.set(f"k{draw.randrange(2000)}", "v" * 1000)
        read = read_memory(table)
        copied = read.copied_per_freed
        assert copied is not None
        assert 0 < copied < 4
    with forkkv.attach(table_name) as table:  # the one who counted it is gone
        assert read_memory(table).copied_per_freed == copied


def test_the_doctor_says_when_all_is_well() -> None:
    assert examine(memory(), PLENTY) == (
        "All is well: 40.0 MiB of 64.0 MiB are used, 51% of the room for items is live, and each "
        "of 100000 keys costs 33.0 bytes; policy noeviction."
    )
    assert examine(memory(keys=1, expiring=0, index_bytes=MIB), None).startswith("All is well: ")


@pytest.mark.parametrize(
    ("ill", "says", "step"),
    [
        (
            memory({"refused": 7}, live_bytes=57 * MIB, free_bytes=2 * MIB),
            "table is full: 95% .* -OOM .refused so far: 7.",
            "--memory 64.0 MiB, .* CONFIG SET maxmemory-policy s3fifo$",
        ),
        (
            memory(live_bytes=50 * MIB, free_bytes=8 * MIB),
            "nearly full: 85%",
            "CONFIG SET maxmemory-policy s3fifo$",
        ),
        (memory({"refused": 7}), "refused so far: 7, though only 51%", "more than --memory"),
        (
            memory({"bytes_copied": 900 << 20, "bytes_freed": 100 << 20}),
            "copied 9.00 bytes for each byte",
            "more --memory",
        ),
        (
            memory({"evicted": 5000, "ghost_hits": 3000}, policy="s3fifo", ghost_bytes=MIB),
            "Of 5000 evicted keys 3000 were stored again",
            "more --memory",
        ),
        (
            memory(policy="s3fifo"),
            "no memory for the list of evicted keys",
            "CONFIG SET maxmemory-policy s3fifo$",
        ),
        (
            memory(index_bytes=9 * MIB, keys=5),
            "index takes 9.0 MiB for 5 keys",
            "start it again",
        ),
    ],
)
def test_each_finding_names_its_figure_and_the_next_step(ill: Memory, says: str, step: str) -> None:
    lines = examine(ill, PLENTY).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("* ")
    with pytest.raises(AssertionError, match=f"{says}.*{step}"):
        raise AssertionError(lines[0])


def test_a_small_shared_memory_is_a_finding() -> None:
    found = examine(memory(), Room(50 * MIB, 10 * MIB))
    assert "has 10.0 MiB free of 50.0 MiB, but the limit lets the table take 24.0 MiB" in found
    assert "df /dev/shm" in found


def test_a_full_cache_is_not_ill() -> None:
    cache = memory(policy="s3fifo", live_bytes=57 * MIB, free_bytes=2 * MIB, ghost_bytes=MIB)
    assert examine(cache, PLENTY).startswith("All is well")


def test_several_findings_are_several_lines() -> None:
    full = memory(live_bytes=57 * MIB, free_bytes=2 * MIB)
    assert len(examine(full, Room(50 * MIB, MIB)).splitlines()) == 2
