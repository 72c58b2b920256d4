"""The counts of one process, whoever counted it: over the whole window, and how they grew.

Events have perf's names: syscalls:sys_enter_read, syscalls:sys_exit_read (failed calls only),
raw_syscalls:sys_enter (all calls), task-clock (milliseconds of CPU time).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from forkkv.perf import bpftrace, events, parse, strace
from forkkv.perf.parse import Count

Json = dict[str, Any]
Totals = Mapping[str, float]

ENDED: Final = (0, 130)  # exit codes of a perf or a strace: its process ended, or it got SIGINT
KILLED: Final = 137
ENTERED: Final = "syscalls:sys_enter_"
LEFT: Final = "syscalls:sys_exit_"


@dataclass(frozen=True)
class Counts:
    """`total` by event; `growth` is (epoch, counts since the start), in order; empty: not known."""

    total: Mapping[str, Count] = field(default_factory=dict)
    growth: Sequence[tuple[float, Totals]] = ()

    def between(self, start: float, end: float) -> dict[str, Count]:
        """The counts of a part of the window, interpolated; empty without a time line."""
        if not self.growth:
            return {}
        first, last = self._at(start), self._at(end)
        return {name: Count(last[name] - first.get(name, 0.0)) for name in last}

    def _at(self, moment: float) -> Totals:
        earlier, value_then = None, {}
        for when, value in self.growth:
            if when >= moment:
                if earlier is None or when == earlier:
                    return value if when == moment else {}
                part = (moment - earlier) / (when - earlier)
                return {n: value_then.get(n, 0) + part * (v - value_then.get(n, 0))
                        for n, v in value.items()}  # fmt: skip
            earlier, value_then = when, dict(value)
        return value_then


def read(directory: Path, facts: Json, entry: Json) -> Counts:
    """The counts of one process of run.json; empty when only forkkv itself counted it.

    Raises OSError when a file is missing.
    """
    if entry["file"] is None:
        return Counts()
    text = (directory / entry["file"]).read_text(errors="replace")
    if entry["source"] == "bpftrace":
        return _of_bpftrace(text, facts, entry["pid"])
    if entry["source"] == "strace":
        return Counts(_of_strace(text))
    return Counts(parse.read_counts(text), _of_intervals(text, entry))


def has_counts(directory: Path, entry: Json) -> bool:
    """Whether its source left any counts of this process."""
    file = directory / entry["file"] if entry["file"] else None
    if file is None or not file.exists():
        return False
    text = file.read_text(errors="replace")
    if entry["source"] == "bpftrace":
        return bool(bpftrace.blocks(text))
    if entry["source"] == "strace":  # which writes nothing of a process that made no call
        return bool(strace.read_table(text)) or entry["exit"] in ENDED
    # Of a perf that was killed there may be the rows of some intervals, but not all. The exit code
    # of a client that was started is its own.
    started = entry["role"] == "client" and entry["log"]
    complete = entry["exit"] != KILLED if started else entry["exit"] in ENDED
    return complete and bool(parse.syscall_counts(parse.read_counts(text)))


def _of_intervals(text: str, entry: Json) -> list[tuple[float, Totals]]:
    """perf's rows have seconds since it started. When it was ended is known: at its last row."""
    rows, until = parse.read_intervals(text), entry.get("counted_until")
    if not rows:
        return []
    began = entry["opened"] if until is None else until - rows[-1][0]
    sums: dict[str, float] = {}
    growth: list[tuple[float, Totals]] = [(began, {})]
    for seconds, values in rows:
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + value
        growth.append((began + seconds, dict(sums)))
    return growth


def _of_bpftrace(text: str, facts: Json, pid: int) -> Counts:
    """One block for each interval, then one for the end. A process without a row made no call."""
    blocks = [block.get(pid, {}) for block in bpftrace.blocks(text)]
    names = [events.TOTAL, *(ENTERED + call for call in facts["events"])]
    names += [LEFT + call for call in events.FAILING if call in facts["events"]]
    filled = [{name: float(block.get(name, 0)) for name in names} for block in blocks]
    window = facts["window"]
    times = [tick["time"] for tick in window["ticks"]] + [window["closed"]]
    growth = [(window["opened"], {}), *zip(times, filled, strict=False)]
    return Counts({name: Count(value) for name, value in filled[-1].items()}, growth)


def _of_strace(text: str) -> dict[str, Count]:
    """What strace does not name was not called."""
    table = strace.read_table(text)
    calls = {ENTERED + call: Count(table.get(call, (0, 0))[0]) for call in events.CALLS}
    failed = {LEFT + call: Count(table.get(call, (0, 0))[1]) for call in events.FAILING}
    return {**calls, **failed, events.TOTAL: Count(table.get("total", (0, 0))[0])}
