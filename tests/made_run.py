"""Runs that a test makes up: what collect.sh would have written, with the numbers of the test."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab import process_entry

from forkkv.perf.events import CALLS
from forkkv.perf.parse import Count
from forkkv.perf.process import OwnCount, Process
from forkkv.perf.run import Run, load

Json = dict[str, Any]
EDGES = (9.0, 11.0, 19.0, 21.0)  # of the readings: two around each end of the window
OPENED, CLOSED = 10.0, 20.0
HIDDEN = ("own", "perf", "usage")  # what a test says of a process, and run.json has elsewhere
COUNTERS = ("accepted", "refused", "write_partial", "read_empty", "accept_empty", "sets",
            "lock_timeouts", "lock_wait_ns", "takeovers", "bytes_in", "bytes_out")  # fmt: skip


def worker(index: int, perf: Json | None = None, **changes: Any) -> Json:
    """A worker. `perf`: its rows by event (None: perf did not count it).

    `own`: its own counters at the four edges, as (call, (before, start, end, after)). `usage`: what
    the kernel says that it used in the window; `state` is among it.
    """
    made: Json = {"role": "worker", "index": index, "label": f"worker-{index}", "own": {}}
    made |= {"pid": 100 + index, "source": "forkkv" if perf is None else "perf", "note": ""}
    made |= {"table_pid": made["pid"], "file": None, "opened": OPENED, "edges": [0, 1, 2, 3]}
    return made | {"perf": perf, "exit": 130, "usage": {}} | changes


def client(number: int, perf: Json | None = None, **changes: Any) -> Json:
    """A client that collect.sh started."""
    made = worker(number, perf, command="client of the test", **changes)
    made |= {"role": "client", "label": f"client-{number}", "pid": None, "table_pid": None}
    return made | {"source": "none" if perf is None else "perf"}


def calls(**counts: float) -> Json:
    """perf's rows for system calls."""
    return {f"syscalls:sys_enter_{call}": count for call, count in counts.items()}


def quiet(**counts: int) -> dict[str, tuple[int, ...]]:
    """Own counters of a process that did nothing at the edges of the window."""
    return {name: (0, 0, count, count) for name, count in counts.items()}


def make_run(
    directory: Path,
    *processes: Json,
    aligned: bool = True,
    memory: Json | None = None,
    ticks: Sequence[Json] = (),
    **changes: Any,
) -> Run:
    """Writes the run below `directory` and reads it back.

    `memory`: what the table's figures were at the end; all began at zero, with 100 keys. `ticks`:
    the ends of the intervals of its time line.
    """
    for process in processes:
        if process["perf"] is not None:
            process["file"] = f"{process['label']}.perf"
            rows = [f"{n};;{event};1000;100.00;;\n" for event, n in process["perf"].items()]
            (directory / process["file"]).write_text("".join(rows))
    facts: Json = {
        "schema": 2,
        "date": "2026-11-22T16:16:24+00:00",
        "kernel": "6.1.0",
        "table": "made-up",
        "counter": {
            "source": "perf",
            "version": "6.1",
            "aligned": aligned,
            "problem": "",
            "remedy": "",
        },
        "window": {
            "seconds": CLOSED - OPENED,
            "opened": OPENED,
            "closed": CLOSED,
            "interval_seconds": None,
            "ticks": list(ticks),
            "ended_by": "seconds",
        },
        "events_missing": [],
        "processes": [{k: v for k, v in p.items() if k not in HIDDEN} for p in processes],
        "events": list(CALLS),
        "readings": [_reading(place, processes, memory) for place in range(len(EDGES))],
        "lost": [],
    }
    (directory / "run.json").write_text(json.dumps(facts | changes))
    return load(directory)


def run_of_moments(
    *moments: dict[str, float], role: str = "worker", seconds: float = 1.0, **facts: Any
) -> Run:
    """A run of one process without any file: what it counted in each moment of `seconds`.

    `commands`, `hits` and `misses` are its own counters, `cpu_seconds` is CPU time, `total` all
    calls; any other name is a system call.
    """
    known = {
        "date": "2026-11-22T16:16:24+00:00",
        "kernel": "6.1.0",
        "table": "made-up",
        "counter": {"source": "perf"},
        "window": {"opened": OPENED},
        "lost": [],
    } | facts
    sums = {name: sum(moment[name] for moment in moments) for name in moments[0]}
    parts = tuple(
        Run("made-up", known, seconds, (_process(role, moment),), offset=i * seconds)
        for i, moment in enumerate(moments)
    )
    whole = _process(role, sums)
    return Run("made-up", known, seconds * len(moments), (whole,), moments=parts)


def _process(role: str, counted: dict[str, float]) -> Process:
    own = {n: counted[n] for n in ("commands", "hits", "misses") if n in counted}
    listed = {n: Count(v) for n, v in counted.items() if n in CALLS}
    return Process(
        f"{role}-1", role, 1, 101, "perf", "", "client of the test" if role == "client" else "",
        calls=listed, failed={}, total=Count(counted.get("total")),
        cpu_seconds=Count(counted.get("cpu_seconds")), own_calls={},
        own={name: OwnCount(int(n), int(n), n) for name, n in own.items()}, connections=1,
    )  # fmt: skip


def _reading(place: int, processes: Sequence[Json], memory: Json | None) -> Json:
    entries = [_entry(place, process) for process in processes if process["own"]]
    stats: Json = {"table": {"keys": 100}, "processes": entries}
    if memory is not None:
        stats["memory"] = {name: value if place > 1 else 0 for name, value in memory.items()}
    usage = {str(p["pid"]): _usage(place, p["usage"]) for p in processes if p["usage"]}
    return {"time": EDGES[place], "stats": stats, "usage": usage}


def _usage(place: int, used: Json) -> Json:
    return {"state": "S"} | {
        name: value if place > 1 or name == "state" else 0 for name, value in used.items()
    }


def _entry(place: int, process: Json) -> Json:
    values = {name: numbers[place] for name, numbers in process["own"].items()}
    entry = process_entry(process["role"], process["index"], process["pid"])
    for name in ("commands", "connections", "hits", "misses", "lock_waits"):
        entry[name] = values.pop(name, 0)
    entry["counters"] = {name: values.pop(name, 0) for name in COUNTERS}
    entry["syscalls"] = values
    return entry
