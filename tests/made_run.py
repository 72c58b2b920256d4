"""Runs that a test makes up: what collect.sh would have written, with the numbers of the test."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab import process_entry

from forkkv.perf.run import Run, load

Json = dict[str, Any]
EDGES = (("before", 9.0), ("start", 11.0), ("end", 19.0), ("after", 21.0))
OPENED, CLOSED = 10.0, 20.0


def worker(index: int, perf: Json | None = None, **changes: Any) -> Json:
    """A worker. `perf`: its rows by event (None: perf did not count it).

    `own`: its own counters at the four edges, as (call, (before, start, end, after)).
    """
    made: Json = {"role": "worker", "index": index, "label": f"worker-{index}", "own": {}}
    made |= {"pid": 100 + index, "source": "forkkv" if perf is None else "perf", "note": ""}
    return made | {"perf": perf, "exit": 130} | changes


def client(number: int, perf: Json | None = None, **changes: Any) -> Json:
    """A client that collect.sh started."""
    made = worker(number, perf, command="client of the test", **changes)
    made |= {"role": "client", "label": f"client-{number}", "pid": None}
    return made | {"source": "none" if perf is None else "perf"}


def calls(**counts: float) -> Json:
    """perf's rows for system calls."""
    return {f"syscalls:sys_enter_{call}": count for call, count in counts.items()}


def quiet(**counts: int) -> dict[str, tuple[int, ...]]:
    """Own counters of a process that did nothing at the edges of the window."""
    return {name: (0, 0, count, count) for name, count in counts.items()}


def make_run(directory: Path, *processes: Json, aligned: bool = True, **changes: Any) -> Run:
    """Writes the run below `directory` and reads it back."""
    for process in processes:
        if process["perf"] is not None:
            process["file"] = f"{process['label']}.perf"
            rows = [f"{n};;{event};1000;100.00;;\n" for event, n in process["perf"].items()]
            (directory / process["file"]).write_text("".join(rows))
    facts: Json = {
        "schema": 1,
        "date": "2026-11-22T16:16:24+00:00",
        "kernel": "6.1.0",
        "table": "made-up",
        "counter": "perf",
        "perf": {"version": "6.1", "aligned": aligned, "problem": "", "remedy": ""},
        "window": {
            "seconds": CLOSED - OPENED,
            "opened": OPENED,
            "closed": CLOSED,
            "ended_by": "seconds",
        },
        "events_missing": [],
        "processes": [{k: v for k, v in p.items() if k not in ("own", "perf")} for p in processes],
        "snapshots": {name: _snapshot(place, processes) for place, name in enumerate(_names())},
        "lost": [],
    }
    (directory / "run.json").write_text(json.dumps(facts | changes))
    return load(directory)


def _names() -> list[str]:
    return [name for name, _ in EDGES]


def _snapshot(place: int, processes: Sequence[Json]) -> Json:
    entries = [_entry(place, process) for process in processes if process["own"]]
    return {"time": EDGES[place][1], "table": {}, "processes": entries}


def _entry(place: int, process: Json) -> Json:
    values = {name: numbers[place] for name, numbers in process["own"].items()}
    entry = process_entry(process["role"], process["index"], process["pid"])
    entry["commands"] = values.pop("commands", 0)
    entry["connections"] = values.pop("connections", 0)
    for name in ("accepted", "refused", "write_partial", "read_empty", "accept_empty"):
        entry["counters"][name] = values.pop(name, 0)
    entry["syscalls"] = values
    return entry
