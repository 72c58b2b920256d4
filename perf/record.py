"""Turns what collect.sh noted into run.json (and answers its two questions about words)."""

import json
import platform
import shlex
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from forkkv.perf import events, parse, probe

SCHEMA: Final = 1
SNAPSHOTS: Final = ("before", "start", "end", "after")
COUNTED_ROLES: Final = ("master", "worker", "keeper")

Json = dict[str, Any]


def label(process: Json) -> str:
    """The name of a process in files and tables: master, keeper, worker-0, ..."""
    role = str(process["role"])
    return role if role in ("master", "keeper") else f"{role}-{process['index']}"


def print_processes(snapshot_file: str) -> int:
    """Prints `label pid` for each process that perf should count."""
    for process in read_json(Path(snapshot_file)).get("processes", []):
        if process["role"] in COUNTED_ROLES and process["alive"]:
            print(label(process), process["pid"])
    return 0


def print_words(command: str) -> int:
    """Prints the words of a command as a shell would split them, each ended by a NUL."""
    print(*shlex.split(command), sep="\0", end="\0")
    return 0


def write_run(scratch: str, out: str, *commands: str) -> int:
    """Writes OUT/run.json, says what was lost. Returns collect.sh's exit code: 0, or 7."""
    run = run_facts(Path(scratch), Path(out), commands)
    draft = Path(out) / "run.json.new"
    draft.write_text(json.dumps(run, indent=1) + "\n")
    draft.rename(draft.with_suffix(""))
    for sentence in run["lost"]:
        print(f"Lost: {sentence}", file=sys.stderr)
    return 7 if run["lost"] else 0


def run_facts(scratch: Path, out: Path, commands: tuple[str, ...]) -> Json:
    """The contents of run.json."""
    facts = dict(line.split("\t", 1) for line in (scratch / "facts").read_text().splitlines())
    perf = read_json(scratch / "perf.json")
    snapshots = {when: read_json(scratch / f"{when}.json") or None for when in SNAPSHOTS}
    processes = [*counted(scratch, out, facts, commands), *newcomers(scratch, snapshots)]
    mark_ended(processes, snapshots["end"])
    opened, closed = float(facts["opened"]), float(facts["closed"])
    return {
        "schema": SCHEMA,
        "date": datetime.fromtimestamp(opened, UTC).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "table": facts["name"],
        "counter": facts["counter"],
        "perf": {
            "version": perf.get("version"),
            "paranoid": probe.PARANOID.read_text().strip() if probe.PARANOID.exists() else None,
            "aligned": facts["aligned"] == "yes",
            "problem": perf.get("problem", ""),
            "remedy": perf.get("remedy", ""),
        },
        "window": {
            "seconds": round(closed - opened, 6),
            "opened": opened,
            "closed": closed,
            "asked_seconds": float(facts["asked_seconds"]) if facts["asked_seconds"] else None,
            "ended_by": facts["ended_by"],
        },
        "events": [call for call in events.CALLS if call not in perf.get("missing", [])],
        "events_missing": perf.get("missing", []),
        "processes": processes,
        "snapshots": snapshots,
        "lost": list(losses(processes, snapshots, facts)),
    }


def counted(
    scratch: Path, out: Path, facts: dict[str, str], commands: tuple[str, ...]
) -> Iterator[Json]:
    """One entry for each process and client that collect.sh started to count."""
    for line in (scratch / "processes").read_text().splitlines():
        name, pid, exit_code = line.split("\t")
        role, _, index = name.partition("-")
        file = out / f"{name}.perf"
        said = out / f"{name}.log" if role == "client" else scratch / f"{name}.error"
        by_perf = file.exists() and bool(parse.syscall_counts(parse.read_counts(file.read_text())))
        entry = {
            "role": role,
            "index": int(index or 0),
            "label": name,
            "pid": int(pid) if pid else None,
            "file": file.name if by_perf else None,
            "source": "perf" if by_perf else "none" if role == "client" else "forkkv",
            "exit": int(exit_code) if exit_code else None,
            "note": "",
        }
        if role == "client":
            entry |= {"command": commands[int(index) - 1], "log": f"{name}.log"}
        if facts["counter"] == "perf" and not by_perf:
            entry["note"] = f"not counted by perf: {reason(said, exit_code)}"
        yield entry


def reason(said: Path, exit_code: str) -> str:
    """Why a perf left no counts, from what it printed."""
    lines = said.read_text(errors="replace").splitlines() if said.exists() else []
    first = next((line for line in lines if line.strip() and not line.startswith("Events ")), "")
    if first.startswith("Problems finding threads"):
        return "the process had ended"
    return first.strip() or f"perf ended with exit code {exit_code}"


def newcomers(scratch: Path, snapshots: dict[str, Json | None]) -> Iterator[Json]:
    """The processes that started after perf was attached: their own counters show them."""
    known = {line.split("\t")[1] for line in (scratch / "processes").read_text().splitlines()}
    for process in (snapshots["end"] or {}).get("processes", []):
        if process["role"] in COUNTED_ROLES and str(process["pid"]) not in known:
            yield {
                "role": process["role"],
                "index": process["index"],
                "label": f"{label(process)}-new",
                "pid": process["pid"],
                "file": None,
                "source": "forkkv",
                "exit": None,
                "note": "started during the window",
            }


def mark_ended(processes: list[Json], end: Json | None) -> None:
    """Notes which of the server's processes did not see the end of the window."""
    there = {process["pid"] for process in (end or {}).get("processes", [])}
    for entry in processes:
        if end and entry["role"] != "client" and not entry["note"] and entry["pid"] not in there:
            entry["note"] = "ended during the window, and was counted until then"


def losses(
    processes: list[Json], snapshots: dict[str, Json | None], facts: dict[str, str]
) -> Iterator[str]:
    """What a reader of the counts must know is missing, in sentences."""
    for entry in processes:
        name = f"{entry['label']} (pid {entry['pid']})"
        if entry["note"]:
            yield f"{name} {entry['note']}"
        elif entry["role"] == "client" and entry["exit"] and facts["ended_by"] == "clients":
            yield f"{entry['label']} ended with exit code {entry['exit']}; see {entry['log']}"
    for when in SNAPSHOTS:
        if snapshots[when] is None:
            yield f"forkkv's own counters at '{when}' are missing: forkkv stats failed"


def read_json(path: Path) -> Json:
    """The object in a JSON file; empty when the file is not there."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


ACTIONS: Final[dict[str, Callable[..., int]]] = {
    "processes": print_processes,
    "words": print_words,
    "run": write_run,
}

if __name__ == "__main__":
    sys.exit(ACTIONS[sys.argv[1]](*sys.argv[2:]))
