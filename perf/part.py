"""A stretch of a run's window: what each process and the table did between two readings."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from forkkv.perf import events, parse
from forkkv.perf.counts import Counts
from forkkv.perf.parse import Count
from forkkv.perf.process import UNKNOWN, OwnCount, Process

TABLE_COUNTS: Final = ("evicted", "expired", "refused", "ghost_hits", "copied_bytes", "freed_bytes")
OWN: Final = ("commands", "hits", "misses", "lock_waits")  # counters that stand by themselves
TABLE_SIZES: Final = ("limit_bytes", "used_bytes", "live_bytes", "dead_bytes")

Json = dict[str, Any]


def table_between(first: Json | None, last: Json | None) -> dict[str, float]:
    """What the table's own figures did between two readings of `forkkv stats`."""
    if not first or not last or not first.get("memory") or not last.get("memory"):
        return {}
    before, after = first["memory"], last["memory"]
    grown = {f"table_{name}": float(after[name] - before[name]) for name in TABLE_COUNTS}
    sizes = {f"table_{name}": float(after[name]) for name in TABLE_SIZES}
    left = grown["table_expired"] + grown["table_evicted"]
    more = _serving(last) - _serving(first)
    keys = float(last["table"]["keys"]) + left
    return {**grown, **sizes, "table_keys": keys, "table_grown": float(more)}


def _serving(reading: Json) -> int:
    """How many processes the server has."""
    return sum(each["alive"] and each["role"] != "attached" for each in reading["processes"])


@dataclass(frozen=True)
class Part:
    """A stretch of the window, from `start` to `end` (epoch)."""

    facts: Json
    start: float
    end: float

    def process(self, entry: Json, edges: list[int], counted: Counts) -> Process:
        """What is known of one process between two edges, each of two readings."""
        own = self._own(entry, edges)
        own_calls = {name: own.pop(f"syscalls.{name}") for name in _call_names(own)}
        if counted.total:
            calls = parse.syscall_counts(dict(counted.total))
            failed = parse.failure_counts(dict(counted.total))
        else:
            calls = {name: Count(round(count.best)) for name, count in own_calls.items()}
            failed = own_failures(own)
        usage = self._usage(entry, edges)
        return Process(
            **{name: entry[name] for name in ("label", "role", "index", "pid", "source", "note")},
            command=entry.get("command", ""),
            calls=calls,
            failed=failed,
            total=counted.total.get(events.TOTAL, UNKNOWN),
            cpu_seconds=_cpu_seconds(counted.total, own, usage),
            own_calls=own_calls,
            own=own,
            connections=self._connections(entry, edges[1], edges[2]),
            usage=usage,
            stopped=self._stopped(entry, edges[2]),
            newcomer=entry.get("newcomer", False),
            in_table=entry["table_pid"] is not None,
        )

    def table(self, start: int, end: int) -> dict[str, float]:
        """What the table's own figures did between two readings; empty without a table."""
        return table_between(*(self.facts["readings"][place]["stats"] for place in (start, end)))

    def _own(self, entry: Json, edges: list[int]) -> dict[str, OwnCount]:
        """The differences between the readings; empty when the process or a reading is missing."""
        before, start, end, after = (self.facts["readings"][place] for place in edges)
        last = _counters(end, entry)
        if start["stats"] is None or not last:
            return {}
        opening = _position(max(self.start, entry["opened"]), before["time"], start["time"])
        closing = _position(self.end, end["time"], after["time"])
        outer, inner, final = (_counters(reading, entry) for reading in (before, start, after))
        own = {}
        for name, value in last.items():
            a, b, c = outer.get(name, 0), inner.get(name, 0), (final or last).get(name, value)
            best = value + closing * (c - value) - (a + opening * (b - a))
            own[name] = OwnCount(value - b, c - a, best)
        return own

    def _usage(self, entry: Json, edges: list[int]) -> dict[str, float]:
        first, last = (
            self.facts["readings"][place]["usage"].get(str(entry["pid"])) for place in edges[1:3]
        )
        if not first or not last:
            return {}
        return {name: last[name] - first[name] for name in last
                if name not in ("state", "threads") and name in first}  # fmt: skip

    def _connections(self, entry: Json, start: int, end: int) -> int | None:
        """The most that were seen open at once; None for a process that is in no reading."""
        seen = [_find(reading, entry) for reading in self.facts["readings"][start : end + 1]]
        counts = [sum(int(process["connections"]) for process in found) for found in seen if found]
        return max(counts, default=None)

    def _stopped(self, entry: Json, place: int) -> bool:
        used = self.facts["readings"][place]["usage"].get(str(entry["pid"]))
        return bool(used) and used["state"] in ("T", "t")


def _call_names(own: Mapping[str, OwnCount]) -> list[str]:
    return [name.removeprefix("syscalls.") for name in own if name.startswith("syscalls.")]


def own_failures(own: Mapping[str, OwnCount]) -> dict[str, Count]:
    """forkkv counts the calls that found nothing as accept_empty and read_empty."""
    pairs = (("accept4", "accept_empty"), ("read", "read_empty"))
    return {call: Count(round(own[name].best)) for call, name in pairs if name in own}


def _cpu_seconds(
    total: Mapping[str, Count], own: Mapping[str, OwnCount], usage: Mapping[str, float]
) -> Count:
    """By perf to the nanosecond, else from the readings of /proc."""
    if (clock := total.get(events.CPU)) is not None and clock.value is not None:
        return Count(clock.value / 1000, clock.note)  # perf gives milliseconds
    if "cpu_seconds" in usage:
        return Count(usage["cpu_seconds"])
    if "user_seconds" in usage:
        return Count(usage["user_seconds"] + usage["system_seconds"])
    if "cpu_microseconds" in own:
        return Count(own["cpu_microseconds"].best / 1e6)
    return UNKNOWN


def _position(moment: float, earlier: float, later: float) -> float:
    """Where `moment` lies between two readings: 0 at the earlier, 1 at the later."""
    if later <= earlier:
        return 0.0
    return min(1.0, max(0.0, (moment - earlier) / (later - earlier)))


def _find(reading: Json, entry: Json) -> list[Json]:
    """A process in the table's figures of one reading: once for each time that it has the table
    open, so never when it is not there."""
    wanted, ticks = (entry["role"], entry["table_pid"]), entry.get("start_ticks")
    return [
        process
        for process in (reading["stats"] or {}).get("processes", [])
        if (process["role"], process["pid"]) == wanted and ticks in (None, process["start_ticks"])
    ]


def _counters(reading: Json, entry: Json) -> dict[str, int]:
    """A process's counters in one reading, flat; empty when it is not there."""
    sums: Counter[str] = Counter()
    for process in _find(reading, entry):
        sums.update(_flat(process))
    return dict(sums)


def own_events(process: Json) -> dict[str, int]:
    """What an entry of `forkkv stats` counts besides system calls."""
    return {**process.get("counters", {}), **{name: process[name] for name in OWN}}


def _flat(process: Json) -> dict[str, int]:
    flat = {f"syscalls.{name}": n for name, n in process["syscalls"].items()}
    flat |= own_events(process)
    flat["cpu_microseconds"] = round((process.get("cpu_seconds") or 0) * 1e6)
    return flat
