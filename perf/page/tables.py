"""The tables of the page: numbers, the two that explain, and perf beside forkkv's own counters."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from forkkv.perf.document import BOTTLENECK, EXPLANATION
from forkkv.perf.page.markup import Content, Html, tag

# What a cell of a table of numbers looks like, other than the most of them.
LOOKS: Final = {"0": "nought", "n/a": "nought", "DIFFERS": "apart"}

Json = dict[str, Any]


def numbers(
    caption: str,
    columns: Sequence[str],
    groups: Iterable[Iterable[Sequence[str]]],
    foot: Sequence[str] | None = None,
) -> Html:
    """A table of which every column but the first is a number; it scrolls where it is too wide."""
    table = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", (tag("th", name, scope="col") for name in columns))),
        (tag("tbody", map(_numbers, rows)) for rows in groups),
        tag("tfoot", _numbers(foot)) if foot else None,
        class_="numbers",
    )
    return tag("div", table, class_="scroll", role="region", aria_label=caption, tabindex=0)


def folded(
    title: Content, content: Content, unfolded: bool = False, id_: str | None = None
) -> Html:
    """Content that shows only its title until it is asked for."""
    return tag("details", tag("summary", title), content, open=unfolded, id=id_)


def prose(
    caption: str, columns: Sequence[str], rows: Iterable[tuple[Sequence[Content], str]]
) -> Html:
    """A table of sentences: rows of cells, each with the class of its row.

    It becomes a list where it is too wide. The roles keep it a table to a screen reader then.
    """
    heads = (tag("th", name, scope="col", role="columnheader") for name in columns)
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", heads, role="row"), role="rowgroup"),
        tag("tbody", (_prose(columns, *row) for row in rows), role="rowgroup"),
        class_="prose",
        role="table",
    )


def study(report: Json) -> Iterator[Html]:
    """Both tables of each process, those of the server as a whole first and open."""
    for table in report["tables"][-1:] + report["tables"][:-1]:
        name, whole = table["process"], table is report["tables"][-1]
        title = (tag("b", name), " ", tag("span", table["overall"]["inference"]))
        both = (_explanation(table), _bottlenecks(report, None if whole else name))
        yield folded(title, both, unfolded=whole)


def cross_check(report: Json) -> Iterator[Html]:
    """What agrees, in a sentence; the table is open when something does not."""
    for sentence in report["agreement"]:
        yield tag("p", sentence)
    if checks := report["cross_check"]:
        columns = ("process", "call", "perf", "forkkv", "difference", "verdict")
        by_process: dict[str, list[list[str]]] = {}
        for check in checks:
            by_process.setdefault(check["process"], []).append(_check(check))
        table = numbers("perf beside forkkv's own counters", columns, by_process.values())
        apart = any(check["difference"] for check in checks)
        yield folded(f"All {len(checks)} comparisons", table, unfolded=apart)


def _numbers(row: Sequence[str]) -> Html:
    cells = (tag("td", cell, class_=LOOKS.get(cell)) for cell in row[1:])
    return tag("tr", tag("th", row[0], scope="row"), cells)


def _prose(columns: Sequence[str], cells: Sequence[Content], kind: str) -> Html:
    first, *rest = zip(columns, cells, strict=True)
    head = tag("th", first[1], scope="row", role="rowheader", data_column=first[0])
    others = (tag("td", cell, role="cell", data_column=name) for name, cell in rest)
    return tag("tr", head, others, role="row", class_=kind or None)


def _explanation(table: Json) -> Html:
    rows = [((r["observation"], r["meaning"], r["inference"]), "") for r in table["rows"]]
    last = table["overall"]
    overall = (f"Overall: {last['observation']}", last["meaning"], last["inference"])
    return prose(
        f"{table['process']}: what was observed", EXPLANATION, [*rows, (overall, "overall")]
    )


def _bottlenecks(report: Json, process: str | None) -> Html:
    """Every row of the second table, those first that apply to a process; None: to any."""
    marked = [
        (row, bool(row["applies"]) and (process is None or process in row["processes"]))
        for row in report["bottlenecks"]
    ]
    ordered = sorted(marked, key=lambda pair: not pair[1])
    rows = ((_bottleneck(row, applies), "applies" if applies else "") for row, applies in ordered)
    return prose(f"{process or 'server'}: bottlenecks by system call", BOTTLENECK, rows)


def _bottleneck(row: Json, applies: bool) -> tuple[Content, ...]:
    mark = tag("span", "applies", class_="mark") if applies else None
    measured = tag("span", f"this run: {row['measured']}", class_="measured")
    return (
        (tag("code", row["syscall"]), " ", mark),
        (row["high"], " ", measured),
        row["state"],
        row["fix"],
    )


def _check(check: Json) -> list[str]:
    least, most = check["own"]
    own = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    difference = f"{check['difference']:+,}" if check["difference"] else "0"
    return [
        check["process"],
        check["call"],
        f"{check['perf']:,}",
        own,
        difference,
        check["verdict"],
    ]
