"""The parts of the page on who called what: bars by family, calls per command, the counts."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, Final

from forkkv.perf.document import COLUMNS
from forkkv.perf.events import CALLS, FAMILIES
from forkkv.perf.page import charts
from forkkv.perf.page.charts import Piece
from forkkv.perf.page.markup import Content, Html, tag
from forkkv.perf.page.tables import folded, numbers
from forkkv.perf.rule import ENOUGH

OTHER: Final = "other"
EVERYBODY: Final = "server"
FINE: Final = 12  # calls per command up to which the scale has a mark for each call

Json = dict[str, Any]


def bars(report: Json) -> Iterator[Html]:
    """For each process how many calls it made, and of what kinds."""
    processes = report["processes"]
    full = max((sum(families(p).values()) for p in processes), default=0)
    yield charts.legend(_legend(processes))
    for title, members in groups(processes):
        head = tag("div", *map(_head, HEADS), class_="bar head", aria_hidden="true")
        rows = (_bar(process, full) for process in members)
        yield tag("h3", title)
        yield tag("div", head, tag("ul", rows), class_="bars")


HEADS: Final = ("process", "calls", "how many, on one scale", "of what kinds")


def per_command(report: Json) -> Iterator[Html]:
    """For each process that ran commands, how many calls of which kind one command cost."""
    counted = [*report["processes"], together(report)]
    chosen = [p for p in counted if p["commands"] and sum(families(p).values())]
    if not chosen:
        unknown = "This server does not count its commands: what one costs is not known."
        none = "No command was served, so there is no cost to tell."
        yield tag("p", unknown if counted[-1]["commands"] is None else none)
        return
    highest = max(sum(families(p).values()) / p["commands"] for p in chosen)
    full = float(math.ceil(highest)) if highest <= FINE else charts.nice(highest)
    step = 1.0 if highest <= FINE else charts.nice(full / 5)
    ticks = [step * i for i in range(int(full / step) + 1)]
    rows = (_cost(process, full, ticks) for process in chosen)
    scale = tag("div", charts.axis(ticks, full), class_="bar cost scale")
    yield tag("div", tag("ul", rows), scale, class_="bars")
    if any(p["commands"] < ENOUGH for p in chosen):
        yield tag("p", f"Pale: fewer than {ENOUGH} commands, too few for a ratio.", class_="note")
    if any(p["total"] is None for p in chosen):
        yield tag("p", "Where the total is not known, at least so many.", class_="note")


def counts(report: Json) -> Iterator[Html]:
    """The counts by family, then every call by its name, then what was counted."""
    processes = report["processes"]
    rows = [[_count_row(p, _shown(processes)) for p in members] for _, members in groups(processes)]
    columns = (
        "process",
        *_shown(processes),
        OTHER,
        "total",
        "commands",
        "calls per command",
        "CPU\N{NO-BREAK SPACE}s",
    )
    alone = sum(p["role"] != "client" for p in processes) == 1
    foot = None if alone else _count_row(together(report), _shown(processes))
    yield numbers("System calls by family", columns, rows, foot)
    yield folded("Every call by its name", tuple(_by_name(report)))
    yield folded("The processes", _processes(processes))


def groups(processes: Iterable[Json]) -> Iterator[tuple[str, list[Json]]]:
    """The processes of the server, then the clients, each with those of one role together."""
    listed = list(processes)
    roles = list(dict.fromkeys(p["role"] for p in listed))
    ordered = sorted(listed, key=lambda p: roles.index(p["role"]))
    for title, client in (("Server", False), ("Clients", True)):
        if members := [p for p in ordered if (p["role"] == "client") is client]:
            yield title, members


def families(process: Json) -> dict[str, float]:
    """The calls by family, in the names of the columns; `other` is the rest of the total."""
    known = {
        name: _add(process["calls"].get(c) for c in FAMILIES[f]) for name, f in COLUMNS.items()
    }
    sums = {name: value for name, value in known.items() if value is not None}
    everything = process["total"]
    if everything is None:
        everything = _add(process["calls"].values())
    if everything is not None:
        sums[OTHER] = max(0.0, everything - sum(sums.values()))
    return sums


def together(report: Json) -> Json:
    """All processes of the server as if they were one."""
    server = [p for p in report["processes"] if p["role"] not in ("client", "attached")]
    workers = [p["commands"] for p in server if p["role"] == "worker"]
    return {
        "process": EVERYBODY,
        "calls": report["totals"],
        "total": _add(p["total"] for p in server),
        "commands": None if None in workers else _add(workers),
        "cpu_seconds": _add(p["cpu_seconds"] for p in server),
    }


def number(value: float | None) -> str:
    """A count as it is shown; n/a when it is not known."""
    return "n/a" if value is None else f"{value:,.0f}"


def _add(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _shown(processes: list[Json]) -> list[str]:
    return [name for name in COLUMNS if any(families(p).get(name) for p in processes)]


def _legend(processes: list[Json]) -> Iterator[tuple[str, str]]:
    """Each family that was seen, with those of its calls that were."""
    seen = {call for p in processes for call, count in p["calls"].items() if count}
    for name in _shown(processes):
        calls = [call for call in FAMILIES[COLUMNS[name]] if call in seen]
        yield name, name if calls == [name] else f"{name} ({', '.join(calls)})"
    yield OTHER, OTHER


def _head(words: str) -> Html:
    return tag("span", words)


def _bar(process: Json, full: float) -> Html:
    sums = families(process)
    total, name = sum(sums.values()), process["process"]
    pieces = [Piece(kind, n, f"{name}: {kind} {number(n)}") for kind, n in sums.items()]
    told = ", ".join(f"{kind} {number(n)}" for kind, n in sums.items() if n) or "no calls"
    mixed = ", ".join(f"{kind} {n / total:.0%}" for kind, n in sums.items() if n) or "no calls"
    return tag(
        "li",
        tag("span", name, class_="who"),
        tag("span", number(total if sums else None), class_="sum"),
        charts.stack(pieces, full, f"{name}, calls: {told}"),
        charts.stack(pieces, total, f"{name}, shares of its calls: {mixed}"),
        class_="bar",
    )


def _cost(process: Json, full: float, ticks: list[float]) -> Html:
    sums, name, commands = families(process), process["process"], process["commands"]
    costs = {kind: n / commands for kind, n in sums.items()}
    pieces = [Piece(k, n, f"{name}: {k} {n:.2f} per command") for k, n in costs.items()]
    told = ", ".join(f"{kind} {n:.2f}" for kind, n in costs.items() if n >= 0.005)
    return tag(
        "li",
        tag("span", name, class_="who"),
        tag("span", f"{sum(costs.values()):.2f}", class_="sum"),
        charts.stack(pieces, full, f"{name}, calls per command: {told}", ticks),
        class_="bar cost pale" if commands < ENOUGH else "bar cost",
    )


def _count_row(process: Json, shown: list[str]) -> list[str]:
    sums, total, commands = families(process), process["total"], process["commands"]
    seconds = process["cpu_seconds"]
    return [
        process["process"],
        *(number(sums.get(kind)) for kind in (*shown, OTHER)),
        number(total),
        number(commands),
        f"{total / commands:.2f}" if total is not None and commands else "n/a",
        "n/a" if seconds is None else f"{seconds:.3f}",
    ]


def _by_name(report: Json) -> Iterator[Html]:
    """A row for each call that anybody made, or that failed; the others are only named."""
    everybody = [*(p for _, members in groups(report["processes"]) for p in members)]
    rows, silent = [], []
    for call in CALLS:
        made = [p["calls"].get(call) for p in everybody]
        failed = [p.get("failed", {}).get(call) for p in everybody]
        if any(made):
            rows.append([call, *map(number, made), number(report["totals"].get(call))])
        else:
            silent.append(call)
        if any(failed):
            server = _add(
                n for p, n in zip(everybody, failed, strict=True) if p["role"] != "client"
            )
            rows.append([f"{call}, failed", *map(number, failed), number(server)])
    columns = ("call", *(p["process"] for p in everybody), EVERYBODY)
    yield numbers("System calls by name", columns, [rows])
    if silent:
        yield tag("p", "Nobody made: ", ", ".join(silent), ".", class_="note")


def _processes(processes: list[Json]) -> Html:
    return tag("dl", (_who(p) for _, members in groups(processes) for p in members), class_="who")


def _who(process: Json) -> Iterator[Content]:
    pid = process.get("pid")
    facts = [process["role"], f"pid {pid}" if pid else "", f"counted by {process['source']}"]
    said = [*facts, process["note"], *process["notes"]]
    command = tag("code", process["command"]) if process["command"] else None
    yield tag("dt", process["process"])
    yield tag("dd", "; ".join(filter(None, said)), ". ", command)
