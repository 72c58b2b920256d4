"""A run made of two readings of forkkv's own counters: what the rules judge without perf or files.

A reading is what forkkv.stats.read_stats() returns.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from forkkv.perf.parse import Count
from forkkv.perf.part import own_events, own_failures, table_between
from forkkv.perf.process import UNKNOWN, OwnCount, Process
from forkkv.perf.run import Json, Run
from forkkv.perf.targets import label_of

SERVER_ROLES: Final = ("master", "keeper", "worker")

Key = tuple[str | int, ...]


def run_between(earlier: Json, later: Json) -> Run:
    """What the server's processes did between two readings of one table.

    A process that was not there in the earlier one counts from zero, as it began since; one that
    is dead or gone in the later one is left out.
    """
    before = dict(keyed(earlier))
    processes = tuple(
        process_between(before.get(key), entry) for key, entry in keyed(later) if entry["alive"]
    )
    facts = {"table": later["table"]["name"], "counter": {"source": "forkkv"}}
    table = table_between(earlier, later)
    return Run("", facts, seconds_between(earlier, later), processes, table)


def seconds_between(earlier: Json, later: Json) -> float:
    """Never negative. By the clock that never steps, if the readings have it."""
    clock = "boot_seconds" if "boot_seconds" in earlier and "boot_seconds" in later else "time"
    return max(0.0, float(later[clock] - earlier[clock]))


def keyed(reading: Json) -> Iterator[tuple[Key, Json]]:
    """Every process by what no other one has, nor a later one with its pid or its index.

    A program that has opened the table several times has that many entries, told apart by order.
    """
    seen: Counter[Key] = Counter()
    for entry in reading["processes"]:
        names = ("role", "index", "pid", "start_ticks", "generation")
        key = tuple(entry[name] for name in names)
        yield (*key, seen[key]), entry
        seen[key] += 1


def process_between(earlier: Json | None, later: Json) -> Process:
    """What one process did. A counter that went back counts as one that stood still."""
    own_calls = _grown(earlier and earlier["syscalls"], later["syscalls"])
    own = _grown(earlier and own_events(earlier), own_events(later))
    if later["role"] == "attached":
        del own["commands"]  # it calls functions, which nobody counts, instead
    return Process(
        label=label_of(later),
        role=later["role"],
        index=later["index"],
        pid=later["pid"],
        source="forkkv",
        note="" if earlier else "started during the window",
        newcomer=earlier is None,
        command="",
        calls={name: Count(count.least) for name, count in own_calls.items()},
        failed=own_failures(own),
        total=UNKNOWN,
        cpu_seconds=_cpu_seconds(earlier, later),
        own_calls=own_calls,
        own=own,
        connections=max(earlier["connections"] if earlier else 0, later["connections"]),
        stopped=bool(later["stopped"]),
    )


def _grown(earlier: dict[str, int] | None, later: dict[str, int]) -> dict[str, OwnCount]:
    growth = {name: max(0, n - (earlier or {}).get(name, 0)) for name, n in later.items()}
    return {name: OwnCount(n, n, float(n)) for name, n in growth.items()}


def _cpu_seconds(earlier: Json | None, later: Json) -> Count:
    now, before = later["cpu_seconds"], earlier["cpu_seconds"] if earlier else 0.0
    return UNKNOWN if now is None or before is None else Count(max(0.0, now - before))
