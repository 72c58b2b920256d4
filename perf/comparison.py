"""Lays the comparison of two runs out as sections: findings, what changed, what did not."""

from collections.abc import Iterator
from typing import Any, Final

from forkkv.perf.document import Grid, Item, Section
from forkkv.perf.rule import confidence_word
from forkkv.perf.significance import MOMENTS
from forkkv.perf.units import in_words

COLUMNS: Final = ("number", "A", "B", "change", "verdict")
NAMES: Final = {
    "cpu_microseconds_per_command": "CPU us per command",
    "cpu_share": "CPU share of one core",
    "watches_per_command": "epoll_ctl per command",
    "busiest_accept_share": "busiest worker's accepts",
    "commands_per_client_write": "commands per write",
}
CHANGED: Final = ("lower", "higher")
ALWAYS: Final = ("server", "client")  # others have a section only where something changed
BECAME: Final = {"gone": ("Gone", "A"), "new": ("New", "B"), "still": ("Still there", "B")}
SHOWN: Final = 2  # processes whose numbers stand below one finding
TIMES: Final = 2.0  # from here on a rise is told as a factor
NEARLY_ALL: Final = 0.99  # a fall by more is no longer told in per cent, unless it is to nothing
LEAST: Final = 0.0001
UNSEEN: Final = 0.1  # below it, two decimals hide a change

Json = dict[str, Any]


def sections(comparison: Json) -> Iterator[Section]:
    """The whole comparison in reading order."""
    yield Section("forkkv report: from A to B", tuple(_runs(comparison)))
    yield Section("Findings", tuple(_findings(comparison["findings"])))
    for subject in dict.fromkeys(["server", *(row["subject"] for row in comparison["changes"])]):
        rows = [row for row in comparison["changes"] if row["subject"] == subject]
        if subject in ALWAYS or any(row["verdict"] in CHANGED for row in rows):
            yield Section(_title(subject), tuple(_changes(rows)))
    yield Section("How to read this", tuple(_method(comparison)))


def _runs(comparison: Json) -> Iterator[Item]:
    for letter in ("a", "b"):
        run = comparison[letter]
        table = f"table {run['table']}" if run["table"] else "processes by pid"
        facts = [f"{run['seconds']:.2f} s", _many(run["workers"], "worker")]
        if run["commands"] is not None:
            facts.append(f"{run['commands']:,.0f} commands")
        facts.append(_many(run["moments"], "moment"))
        first = f"{table} on {run['date']}, counted by {run['source']}"
        clients = [f"client: {command}" for command in run["clients"] if command]
        yield Item(f"{letter.upper()}: {run['directory']}", (first, ", ".join(facts), *clients))
    if comparison["warnings"]:
        yield Item("Not quite comparable:", tuple(comparison["warnings"]))


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _findings(findings: Json) -> Iterator[Item | str]:
    for became, (title, where) in BECAME.items():
        for finding in findings[became]:
            seen = [f"in {where}: {line}" for line in _seen(finding["observations"])]
            if became == "still":
                seen = [f"in A: {line}" for line in _seen(finding["was"])] + seen
            if finding["doubt"]:
                seen.append("In doubt: the numbers that decide it changed by no more than noise")
            elif became != "gone":
                seen.append(f"{finding['inference']}.")
            sure = confidence_word(finding["confidence"])
            yield Item(f"{title}: {finding['situation']} (confidence {sure})", tuple(seen))
    if not any(findings.values()):
        yield "None in A, none in B."


def _seen(observations: list[Json]) -> list[str]:
    lines = [f"{said['process']}: {said['observation']}" for said in observations[:SHOWN]]
    left = len(observations) - len(lines)
    return [*lines, f"and {left} more"] if left else lines


def _title(subject: str) -> str:
    return {"server": "Server", "client": "Clients together"}.get(
        subject, f"{subject.capitalize()} processes together"
    )


def _changes(rows: list[Json]) -> Iterator[Grid | str]:
    """The rows that changed, then those that nothing can be said of, then the others by name."""
    changed = [row for row in rows if row["verdict"] in CHANGED]
    if changed:
        yield _grid(changed)
    else:
        yield "Nothing that can be told from noise has changed."
    undecided = [row for row in rows if row["verdict"] == "too little data"]
    unmeasured = [row for row in undecided if row["lacks"] == "moments"]
    if unmeasured:
        yield f"Not judged, for want of {MOMENTS} moments in each run (longer, or --interval 0.1):"
        yield _grid(unmeasured)
    few = [row for row in undecided if row["lacks"] != "moments"]
    for said, others in (
        ("Too few events to judge", few),
        ("Surely changed, but little", [row for row in rows if row["verdict"] == "small"]),
        ("Noise", [row for row in rows if row["verdict"] == "noise"]),
    ):
        if others:
            yield f"{said}: " + ", ".join(f"{name_of(r)} ({_change(r)})" for r in others) + "."
    same = [row for row in rows if row["verdict"] == "same"]
    for said, others in (
        ("The same", [row for row in same if row["a"]]),
        ("Zero in both", [row for row in same if not row["a"]]),
    ):
        if others:
            yield f"{said}: {', '.join(map(name_of, others))}."


def _grid(rows: list[Json]) -> Grid:
    cells = tuple(
        (
            name_of(row) + " *" * row["machine"],
            figure(row, "a"),
            figure(row, "b"),
            _change(row),
            row["verdict"],
        )
        for row in rows
    )
    return Grid(COLUMNS, cells, numbers=True)


def name_of(row: Json) -> str:
    """What a row is called."""
    quantity = str(row["quantity"])
    return NAMES.get(quantity) or quantity.replace("_", " ")


def figure(row: Json, run: str) -> str:
    """A number in words; with more digits where two decimals or a whole per cent hide it."""
    value, quantity = row[run], row["quantity"]
    if not 0 < value < UNSEEN or quantity.endswith("_per_second"):
        return in_words(quantity, value)
    if quantity.endswith("_share"):
        return f"{_small(value * 100)}%"
    return _small(value)


def _small(value: float) -> str:
    """Two digits that say something, without an exponent."""
    return f"{value:.2g}" if value >= LEAST else f"<{LEAST}"


def _change(row: Json) -> str:
    by = row["change"]
    if by is None:
        return "from 0" if row["b"] else "0%"
    if row["b"] and by < -NEARLY_ALL:
        return f"<-{NEARLY_ALL * 100:.0f}%"
    return f"x{by + 1:.1f}" if by + 1 >= TIMES else f"{by * 100:+.0f}%"


def _method(comparison: Json) -> Iterator[str]:
    chance = comparison["level"] * 100
    yield (
        f"lower, higher: by chance, at most {chance:.0f} of 100 comparisons would show even one "
        "such row. Counts are taken as events that come at random; where both runs have "
        f"{MOMENTS} moments (steps of --interval), also by how much these differ among themselves. "
        "The more cautious view decides."
    )
    if any(row["machine"] for row in comparison["changes"]):
        yield (
            "* depends on what else the machine did, too, which may differ between any two runs: "
            "collect A and B in turn, several times, before you believe it."
        )
