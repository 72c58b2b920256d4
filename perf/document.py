"""Lays a report out as sections of paragraphs and grids, whatever they are then written as."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from forkkv.perf import rules
from forkkv.perf.events import FAMILIES

EXPLANATION: Final = ("Observation", "Meaning", "Inference")
BOTTLENECK: Final = ("Syscall", "When count is high", "Likely system state", "Possible fix")
# The columns of the table of counts, with the family that each shows. The rest is "other".
COLUMNS: Final = {
    "read": "reads",
    "write": "writes",
    "accept": "accepts",
    "close": "closes",
    "connect": "connects",
    "poll": "polls",
    "epctl": "watches",
    "futex": "futexes",
    "fsync": "fsyncs",
}

SKETCH: Final = 40  # letters of a time line
SHADES: Final = "_.:-=+*#"  # from nothing to the most
SHOWN: Final = 8  # processes whose numbers stand below one finding

Json = dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """A table. `numbers`: every column but the first is a number."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: bool = False


@dataclass(frozen=True)
class Item:
    """A paragraph with details below it."""

    text: str
    details: tuple[str, ...]


Part = str | Item | Grid


@dataclass(frozen=True)
class Section:
    """A title, and what stands below it."""

    title: str
    parts: tuple[Part, ...]


def sections(report: Json) -> Iterator[Section]:
    """The whole report in reading order: the conclusions first, then what they rest on."""
    yield Section(_title(report), (_load(report), *report["sources"]))
    yield Section("Findings", tuple(_findings(report)))
    if report["timeline"]["moments"]:
        yield Section("Time line", tuple(_timeline(report)))
    yield Section("System calls", (_counts(report), *_legend(report)))
    yield Section("perf beside forkkv's own counters", tuple(_cross_check(report)))
    for table in report["tables"]:
        yield Section(f"{table['process']}", (_explanation(table),))
    yield Section("Bottlenecks by system call", (_bottlenecks(report), BOTTLENECK_NOTE))
    if report["cannot_tell"]:
        told = report["cannot_tell"].items()
        yield Section("What these rules cannot tell", tuple(f"{s}: {text}" for s, text in told))
    if report["caveats"]:
        yield Section("Caveats", tuple(report["caveats"]))


BOTTLENECK_NOTE: Final = "* applies to this run. In brackets: what this run measured."


def _title(report: Json) -> str:
    run = report["run"]
    window = run["window"]["seconds"]
    what = f"table {run['table']}" if run["table"] else "processes by pid"
    return f"forkkv report: {what}, {window:.2f} s on {run['date']}"


def _load(report: Json) -> str:
    """What the server did, in a sentence; who did not live to tell its commands is left out."""
    workers = [process for process in report["processes"] if process["role"] == "worker"]
    silent = [process["process"] for process in workers if process["commands"] is None]
    without = f" without {', '.join(silent)}" if 0 < len(silent) < len(workers) else ""
    whole = report["tables"][-1]["overall"]
    return f"server{without}: {whole['observation']}. {whole['meaning']}."


def _findings(report: Json) -> Iterator[Item]:
    for finding in report["findings"]:
        seen = [f"{said['process']}: {said['observation']}" for said in finding["observations"]]
        if len(seen) > SHOWN:
            seen[SHOWN:] = [f"and {len(seen) - SHOWN} more"]
        severity = f"{rules.WORDS[finding['severity']]}; " if finding["severity"] else ""
        confidence = f"confidence {finding['confidence_word']}, {finding['confidence']:.2f}"
        said = f"{finding['meaning']}. {finding['inference']}."
        yield Item(
            f"{finding['situation']} ({severity}{confidence})",
            (*seen, said, f"Next: {finding['next']}"),
        )


def _timeline(report: Json) -> Iterator[str | Grid]:
    """One row per process: its calls per second from the left to the right."""
    moments, labels = report["timeline"]["moments"], [p["process"] for p in report["processes"]]
    rates = {label: [_rate(moment, label) for moment in moments] for label in labels}
    rows = tuple(
        (label, _number(min(known)), _number(max(known)), sketch(rates[label]))
        for label in labels
        if (known := [rate for rate in rates[label] if rate is not None])
    )
    if rows:
        every = f"{report['timeline']['interval_seconds']:g} s"
        yield f"System calls a second, every {every}; each row from _ (none) to # (its most)."
        yield Grid(("process", "least/s", "most/s", "over time"), rows, numbers=True)


def _rate(moment: Json, label: str) -> float | None:
    """Calls a second; None where the process was not there, or not counted."""
    calls = moment["processes"].get(label, {}).get("calls")
    return None if calls is None else float(calls) / max(moment["to"] - moment["from"], 1e-9)


def sketch(rates: list[float | None]) -> str:
    """A line of letters, one for each rate, or for the mean of some where there are too many."""
    per_letter = -(-len(rates) // SKETCH)
    groups = [rates[i : i + per_letter] for i in range(0, len(rates), per_letter)]
    known = [[rate for rate in group if rate is not None] for group in groups]
    means = [sum(group) / len(group) if group else None for group in known]
    most = max((mean for mean in means if mean is not None), default=0) or 1
    return "".join(
        "?" if mean is None else SHADES[round(mean / most * (len(SHADES) - 1))] for mean in means
    )


def _counts(report: Json) -> Grid:
    """One row per process. A column in which everybody has zero is left out, and named below."""
    processes = report["processes"]
    shown = [column for column in COLUMNS if any(_family(p, column) for p in processes)]
    server = [p for p in processes if p["role"] not in ("client", "attached")]
    commands = [p["commands"] for p in server if p["role"] == "worker"]
    everybody = {
        "process": "server",
        "calls": report["totals"],
        "total": _add(process["total"] for process in server),
        "commands": None if None in commands else _add(commands),
    }
    listed = processes if len(server) == 1 else (*processes, everybody)
    rows = tuple(_count_row(process, shown) for process in listed)
    columns = ("process", *shown, "other", "total", "/cmd")
    if all(row[-1] == "n/a" for row in rows):  # a server that does not count its commands
        columns, rows = columns[:-1], tuple(row[:-1] for row in rows)
    return Grid(columns, rows, numbers=True)


def _count_row(process: Json, shown: list[str]) -> tuple[str, ...]:
    counts = {column: _family(process, column) for column in COLUMNS}
    total, commands, listed = process["total"], process["commands"], _add(counts.values())
    other = None if total is None or listed is None else total - listed
    per_command = f"{total / commands:.2f}" if total is not None and commands else "n/a"
    cells = (_number(counts[column]) for column in shown)
    return (process["process"], *cells, _number(other), _number(total), per_command)


def _family(process: Json, column: str) -> float | None:
    """The sum of a column's calls; None when none of them is known."""
    return _add(process["calls"].get(call) for call in FAMILIES[COLUMNS[column]])


def _add(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.0f}"


def _legend(report: Json) -> Iterator[str]:
    """What the columns hold, which calls were seen, and what is to be known about a process."""
    processes = report["processes"]
    seen = {call for p in processes for call, count in p["calls"].items() if count}
    families = {column: FAMILIES[COLUMNS[column]] for column in COLUMNS}
    named = {column: [c for c in calls if c in seen] for column, calls in families.items()}
    unlike = [f"{c} = {' + '.join(calls)}" for c, calls in named.items() if calls not in ([], [c])]
    if any(p["commands"] and p["total"] is not None for p in processes):
        unlike.append("/cmd = total per command")
    if unlike:
        yield f"Columns: {'; '.join(unlike)}."
    if silent := [column for column, calls in named.items() if not calls]:
        yield f"Zero everywhere: {', '.join(silent)}."
    shown = {call for calls in families.values() for call in calls}
    if rest := {c: n for c, n in report["totals"].items() if n and c not in shown}:
        yield (
            "In the server's other: "
            + ", ".join(f"{c} {_number(n)}" for c, n in rest.items())
            + "."
        )
    for process in processes:
        for note in (*process["notes"], process["note"]):
            if note:
                yield f"{process['process']}: {note}."
        if process["command"]:
            yield f"{process['process']}: {process['command']}"


def _cross_check(report: Json) -> Iterator[str | Grid]:
    yield from report["agreement"]
    rows, last = [], ""
    for check in report["cross_check"]:
        least, most = check["own"]
        own = str(least) if least == most else f"{least}..{most}"
        name = "" if check["process"] == last else check["process"]
        last = check["process"]
        difference = f"{check['difference']:+d}" if check["difference"] else "0"
        rows.append((name, check["call"], str(check["perf"]), own, difference, check["verdict"]))
    if rows:
        columns = ("process", "call", "perf", "forkkv", "difference", "verdict")
        yield Grid(columns, tuple(rows), numbers=True)


def _explanation(table: Json) -> Grid:
    rows = [(r["observation"], r["meaning"], r["inference"]) for r in table["rows"]]
    overall = table["overall"]
    last = (f"Overall: {overall['observation']}", overall["meaning"], overall["inference"])
    return Grid(EXPLANATION, (*rows, last))


def _bottlenecks(report: Json) -> Grid:
    rows = [  # those that apply first
        (
            f"* {row['syscall']}" if row["applies"] else row["syscall"],
            f"{row['high']} [{row['measured']}]",
            row["state"],
            row["fix"],
        )
        for row in sorted(report["bottlenecks"], key=lambda row: not row["applies"])
    ]
    return Grid(BOTTLENECK, tuple(rows))
