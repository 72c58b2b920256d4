"""Writes run.json: what was counted, by whom, when, and what was lost."""

import json
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from forkkv.perf import counts, events, observe, probe, sources
from forkkv.perf.collection import Collection, Counted

SCHEMA: Final = 2
NOTES: Final = {  # by whether it came during the window, and whether it ended in it
    (False, False): "",
    (False, True): "ended during the window, and was counted until then",
    (True, False): "started during the window",
    (True, True): "started during the window, and ended in it",
}

Json = dict[str, Any]


def write(collection: Collection, out: Path) -> list[str]:
    """Writes OUT/run.json. Returns what was lost, in sentences."""
    run = run_facts(collection, out)
    draft = out / "run.json.new"
    draft.write_text(json.dumps(run, indent=1) + "\n")
    draft.rename(draft.with_suffix(""))
    return [str(sentence) for sentence in run["lost"]]


def run_facts(collection: Collection, out: Path) -> Json:
    """The contents of run.json."""
    choice, source = collection.choice, collection.source
    processes = [_entry(collection, each, out) for each in collection.counted.values()]
    return {
        "schema": SCHEMA,
        "date": datetime.fromtimestamp(collection.opened, UTC).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "table": collection.table,
        "port": collection.port,
        "counter": {
            "source": source.name,
            "version": choice.version,
            "aligned": choice.aligned,
            "paranoid": probe.PARANOID.read_text().strip() if probe.PARANOID.exists() else None,
            "problem": choice.problem,
            "remedy": choice.remedy,
            "cost": sources.COST[source.name],
        },
        "window": {
            "seconds": round(collection.closed - collection.opened, 6),
            "opened": collection.opened,
            "closed": collection.closed,
            "asked_seconds": collection.seconds or None,
            "interval_seconds": collection.interval or None,
            "ticks": collection.ticks,
            "ended_by": collection.stop,
        },
        "events": [call for call in events.CALLS if call not in choice.missing],
        "events_missing": sorted(choice.missing),
        "processes": processes,
        "readings": collection.readings,
        "lost": list(_losses(processes, collection)),
    }


def _entry(collection: Collection, each: Counted, out: Path) -> Json:
    """One process: who it is, where its counts are, and the readings at its edges."""
    source, target = collection.source, each.target
    label, last = target.label, len(collection.readings) - 1
    file = source.files().get(label)
    entry: Json = {
        "role": target.role,
        "index": target.index,
        "label": label,
        "pid": target.pid,
        "table_pid": target.table_pid,
        "start_ticks": target.start_ticks,
        "file": file.name if file is not None else None,
        "source": source.name,
        "exit": each.exit if each.child is not None else source.exits.get(label),
        "note": "",
        "newcomer": each.newcomer,
        "opened": each.opened,
        "counted_until": source.ended_at.get(label),
        "edges": [each.before, each.start, last - 1, last],
        "command": target.command,
        "log": f"{label}.log" if each.child is not None else "",
    }
    return _judge(collection, each, out, entry)


def _judge(collection: Collection, each: Counted, out: Path, entry: Json) -> Json:
    """The entry, with the source that really counted it, and a note on what is special."""
    table_counts = each.target.table_pid is not None
    if collection.source.name == "forkkv":
        entry["source"] = "forkkv" if table_counts else "none"
    elif not counts.has_counts(out, entry):
        entry |= {"file": None, "source": "forkkv" if table_counts else "none"}
        why = _reason(collection.source.said(each.target.label), entry)
        entry["note"] = f"not counted by {collection.source.name}: {why}"
    if not entry["note"]:
        ended = each.child is None and not _saw_the_end(collection, each)
        entry["note"] = NOTES[each.newcomer, ended]
    return entry


def _saw_the_end(collection: Collection, each: Counted) -> bool:
    target, end = each.target, collection.readings[-2]
    if target.table_pid is None:
        used = end["usage"].get(str(target.pid))
        return used is not None and used["state"] != observe.ZOMBIE
    there = end["stats"]["processes"] if end["stats"] else []
    found = (target.role, target.table_pid, target.start_ticks)
    return any(
        (entry["role"], entry["pid"], entry["start_ticks"]) == found and entry["alive"]
        for entry in there
    )


def _reason(said: str, entry: Json) -> str:
    """Why a source left no counts, from what it printed."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    first = next((line for line in lines if not line.startswith("Events ")), "")
    gone = first.startswith("Problems finding threads") or "No such process" in first
    if gone or (not first and entry["exit"] == 0):
        return "the process had ended"
    if entry["pid"] is None and not entry["log"]:
        return "it is in another PID namespace; collect on the host"
    return first or f"it ended with exit code {entry['exit']}"


def _grew(collection: Collection, entry: Json) -> bool:
    """Whether a process had more threads at the end than when it was attached."""
    edges = (collection.readings[place]["usage"] for place in entry["edges"][1:3])
    first, last = (usage.get(str(entry["pid"]), {}).get("threads", 0) for usage in edges)
    return bool(first) and last > first


def _losses(processes: list[Json], collection: Collection) -> Iterator[str]:
    """What a reader of the counts must know is missing, in sentences."""
    for entry in processes:
        who = entry["label"] if entry["pid"] is None else f"{entry['label']} (pid {entry['pid']})"
        if entry["note"]:
            yield f"{who} {entry['note']}"
        elif entry["exit"] and collection.counted[entry["label"]].ended_alone:
            yield f"{entry['label']} ended with exit code {entry['exit']}; see {entry['log']}"
        if collection.source.name == "perf" and _grew(collection, entry):
            yield f"{who} started threads during the window, which perf does not count"
    if collection.table and any(reading["stats"] is None for reading in collection.readings):
        yield f"table {collection.table} was not there all the time"
