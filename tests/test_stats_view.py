"""`forkkv stats` for people fits a screen, whatever the figures."""

import io
from typing import Any

import pytest
from rich.console import Console

from forkkv.memory import Memory
from forkkv.stats_view import plain_text, rich_view, short, table_lines

COUNTS = ("evicted", "expired", "ghost_hits", "refused", "bytes_copied", "bytes_freed")


def process(role: str, count: int, **changes: Any) -> dict[str, Any]:
    return {
        "role": role,
        "index": 0,
        "pid": 4_194_303,
        "alive": True,
        "state": "yielding",
        "stopped": False,
        "connections": 12,
        "commands": count,
        "hits": count,
        "misses": count,
        "lock_waits": 0,
        "cpu_seconds": 123.45,
        "rss_bytes": 1 << 28,
        "private_bytes": 20 << 20,
        "syscalls": {"read": count, "write": count, "accept4": 12, "close": 3},
        "counters": {},
        **changes,
    }


def reading(count: int, **changes: Any) -> dict[str, Any]:
    table: Any = {
        "name": "default",
        "keys": 1000,
        "expiring": 1,
        "memory_used_bytes": 2 << 20,
        "memory_limit_bytes": 256 << 20,
        "live_bytes": 80_000,
        "dead_bytes": 0,
        "free_bytes": 200 << 20,
        "reserve_bytes": 4 << 20,
        "index_bytes": 12_000,
        "ghost_bytes": 64 << 10,
        "fixed_bytes": 350 << 10,
        "policy": "s3fifo",
        "segments": 4,
        "segment_bytes": 1 << 16,
        "segments_open": 2,
        "segments_free": 1,
        "repairs": 0,
        "retired": False,
    }
    processes = [process("master", 0), process("worker", count, **changes)]
    room = {"total_bytes": 1 << 40, "free_bytes": 1 << 39}
    memory = Memory(table, dict.fromkeys(COUNTS, count)).figures()
    return {"table": table, "memory": memory, "shared_memory": room, "processes": processes}


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999_999, "999999"),
        (1_000_000, "1M"),
        (1_234_567, "1.235M"),
        (12_345_678_901, "12.35G"),
        (1 << 63, "9223372P"[:7]),
    ],
)
def test_counts_are_exact_below_a_million(count: int, text: str) -> None:
    assert short(count)[:4] == text[:4]
    assert len(short(count)) <= 7


@pytest.mark.parametrize("count", [0, 999_999, 12_345_678_901])
def test_plain_text_is_aligned_and_fits_a_hundred_columns(count: int) -> None:
    lines = plain_text(reading(count)).splitlines()
    head, master, worker = lines[:3]
    assert len({len(head), len(master), len(worker)}) == 1
    assert max(map(len, lines)) <= 100


def test_a_dead_process_says_so_and_has_no_usage() -> None:
    text = plain_text(reading(1, alive=False, cpu_seconds=None, private_bytes=None))
    assert "dead" in text
    assert "?" in text


def test_a_stopped_process_is_shown_as_such_whatever_it_says_of_itself() -> None:
    worker = plain_text(reading(1, stopped=True)).splitlines()[2]
    assert "stopped" in worker
    assert "yielding" not in worker


def test_the_terminal_shows_the_same_figures() -> None:
    out = io.StringIO()
    Console(file=out, width=120, force_terminal=True, color_system=None).print(
        rich_view(reading(4321))
    )
    assert "4321" in out.getvalue()
    assert "1000 keys" in out.getvalue()


def test_an_empty_table_and_a_retired_one_can_be_shown() -> None:
    empty = reading(0)
    empty["table"] |= {"keys": 0, "retired": True}
    assert "RETIRED" in table_lines(empty)[0]


def test_a_shared_memory_too_small_for_the_limit_is_pointed_at() -> None:
    small = reading(0)
    small["shared_memory"] = {"total_bytes": 64 << 20, "free_bytes": 60 << 20}
    assert "/dev/shm: 60.0 MiB of 64.0 MiB free, 254.0 MiB may be needed -- TOO SMALL" in (
        table_lines(small)
    )
    assert "TOO SMALL" not in "".join(table_lines(reading(0)))


def test_a_shared_memory_without_a_limit_of_its_own_is_not_mentioned() -> None:
    endless = reading(0)
    endless["shared_memory"] = None
    assert "/dev/shm" not in "".join(table_lines(endless))
