"""One run of collect.sh, read back: the window, and per process perf's counts beside its own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from forkkv.perf import events, parse
from forkkv.perf.parse import Count

SCHEMA: Final = 1
UNKNOWN: Final = Count(None, "not counted")

Json = dict[str, Any]


class NotARun(ValueError):
    """The directory does not hold a run that this forkkv can read; the message says what to do."""


@dataclass(frozen=True)
class OwnCount:
    """What a forkkv process counted itself, as bounds for what perf must have seen.

    Two snapshots are taken at each edge of perf's window, one outside of it and one inside.
    """

    least: int  # between the inner snapshots
    most: int  # between the outer snapshots; equal to `least` if nothing happened at the edges
    best: float  # at perf's own edges, by interpolation


@dataclass(frozen=True)
class Process:
    """One process of the run. `calls` and `failed` are by call name, `own` by counter name."""

    label: str
    role: str
    index: int
    pid: int | None
    source: str  # perf, forkkv, or none
    note: str
    command: str
    calls: Mapping[str, Count]
    failed: Mapping[str, Count]
    total: Count
    cpu_seconds: Count
    own_calls: Mapping[str, OwnCount]
    own: Mapping[str, OwnCount]
    connections: int | None  # how many were open when the window opened

    @property
    def is_client(self) -> bool:
        """Whether collect.sh started it, rather than found it."""
        return self.role == "client"


@dataclass(frozen=True)
class Run:
    """One run. `facts` is run.json as it stands."""

    directory: str
    facts: Json
    seconds: float
    processes: tuple[Process, ...]

    @property
    def server(self) -> tuple[Process, ...]:
        """The processes that were found: master, workers, keeper."""
        return tuple(p for p in self.processes if not p.is_client)

    @property
    def clients(self) -> tuple[Process, ...]:
        """The processes that collect.sh started."""
        return tuple(p for p in self.processes if p.is_client)


def load(directory: Path) -> Run:
    """Reads a run. Raises NotARun, with a message that names the next step."""
    file = directory / "run.json"
    if not file.is_file():
        raise NotARun(
            f"{directory} holds no run: there is no run.json in it. "
            f"Make one with: perf/collect.sh --seconds 5 --out DIR"
        )
    try:
        facts = json.loads(file.read_text())
        if facts.get("schema") != SCHEMA:
            raise NotARun(
                f"{file} has schema {facts.get('schema')}, this forkkv reads {SCHEMA}. "
                f"Read it with the forkkv that made it, or collect again"
            )
        processes = tuple(_process(directory, facts, entry) for entry in facts["processes"])
        return Run(str(directory), facts, float(facts["window"]["seconds"]), processes)
    except NotARun:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise NotARun(f"{file} is damaged ({why}). Collect again with perf/collect.sh") from error


def _process(directory: Path, facts: Json, entry: Json) -> Process:
    own = _own_counts(facts, entry)
    own_calls = {name: own.pop(f"syscalls.{name}") for name in _call_names(own)}
    if entry["source"] == "perf":
        counts = parse.read_counts((directory / entry["file"]).read_text())
        calls, failed = parse.syscall_counts(counts), parse.failure_counts(counts)
    else:
        counts = {}
        calls = {name: Count(round(count.best)) for name, count in own_calls.items()}
        failed = _own_failures(own)
    return Process(
        label=entry["label"],
        role=entry["role"],
        index=entry["index"],
        pid=entry["pid"],
        source=entry["source"],
        note=entry["note"],
        command=entry.get("command", ""),
        calls=calls,
        failed=failed,
        total=counts.get(events.TOTAL, UNKNOWN),
        cpu_seconds=_cpu_seconds(counts, own),
        own_calls=own_calls,
        own=own,
        connections=_connections(facts, entry),
    )


def _call_names(own: Mapping[str, OwnCount]) -> list[str]:
    return [name.removeprefix("syscalls.") for name in own if name.startswith("syscalls.")]


def _own_failures(own: Mapping[str, OwnCount]) -> dict[str, Count]:
    """forkkv counts the calls that found nothing as accept_empty and read_empty."""
    pairs = (("accept4", "accept_empty"), ("read", "read_empty"))
    return {call: Count(round(own[name].best)) for call, name in pairs if name in own}


def _cpu_seconds(counts: Mapping[str, Count], own: Mapping[str, OwnCount]) -> Count:
    if (clock := counts.get(events.CPU)) is not None and clock.value is not None:
        return Count(clock.value / 1000, clock.note)  # perf gives milliseconds
    if "cpu_microseconds" in own:
        return Count(own["cpu_microseconds"].best / 1e6)
    return UNKNOWN


def _own_counts(facts: Json, entry: Json) -> dict[str, OwnCount]:
    """The differences between the snapshots; empty when the process or a snapshot is missing."""
    taken = facts["snapshots"]
    start, end = taken["start"], taken["end"]
    if start is None or end is None:
        return {}
    before, after = taken["before"] or start, taken["after"] or end
    last = _counters(end, entry)
    if not last:
        return {}
    window = facts["window"]
    opening = _position(window["opened"], before["time"], start["time"])
    closing = _position(window["closed"], end["time"], after["time"])
    tables = [_counters(s, entry) for s in (before, start)], _counters(after, entry) or last
    (outer, inner), final = tables
    own = {}
    for name, value in last.items():
        a, b, c = outer.get(name, 0), inner.get(name, 0), final.get(name, value)
        best = value + closing * (c - value) - (a + opening * (b - a))
        own[name] = OwnCount(value - b, c - a, best)
    return own


def _connections(facts: Json, entry: Json) -> int | None:
    for process in (facts["snapshots"]["start"] or {"processes": []})["processes"]:
        if process["role"] == entry["role"] and process["pid"] == entry["pid"]:
            return int(process["connections"])
    return None


def _position(moment: float, earlier: float, later: float) -> float:
    """Where `moment` lies between two snapshots: 0 at the earlier, 1 at the later."""
    if later <= earlier:
        return 0.0
    return min(1.0, max(0.0, (moment - earlier) / (later - earlier)))


def _counters(snapshot: Json, entry: Json) -> dict[str, int]:
    """A process's counters in one snapshot, flat; empty when it is not there."""
    for process in snapshot["processes"]:
        if process["role"] == entry["role"] and process["pid"] == entry["pid"]:
            flat = {f"syscalls.{name}": n for name, n in process["syscalls"].items()}
            flat |= process.get("counters", {})
            flat["commands"] = process["commands"]
            flat["cpu_microseconds"] = round((process.get("cpu_seconds") or 0) * 1e6)
            return flat
    return {}
