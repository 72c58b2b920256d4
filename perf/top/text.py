"""The lines of `forkkv top` as text: the table's facts, the processes, and the findings."""

import textwrap
import time
from collections.abc import Iterator, Sequence
from typing import Final

from forkkv.perf.diagnose import Finding
from forkkv.perf.rules import WORDS
from forkkv.perf.top.columns import UNKNOWN, Column, figure, fitting, gap, line
from forkkv.perf.top.interval import Interval
from forkkv.sizes import format_size

WIDTH: Final = 80  # of what is no terminal
NAME_WIDTH: Final = 30
RATE_WIDTH: Final = 4
NAMED: Final = 4  # processes of a finding that are named, the others are counted
RATES: Final = ("evicted", "expired", "refused")


def facts_lines(interval: Interval) -> list[str]:
    """Two lines about the table, within 80 columns unless every figure is at its longest."""
    table, memory = interval.reading["table"], interval.reading["memory"]
    name = table["name"] if len(table["name"]) <= NAME_WIDTH else f"{table['name'][:27]}..."
    uptime = interval.uptime
    up = "no server" if uptime is None else f"up {duration(uptime)}"
    clock = time.strftime("%H:%M:%S", time.localtime(interval.reading["time"]))
    rates = "  ".join(f"{name} {_rate(interval.table[name])}" for name in RATES)
    used, limit = memory["used_bytes"], memory["limit_bytes"]
    return [
        f"table {name}  {up}  {clock}  {table['keys']:,} keys",
        f"{format_size(used)} of {format_size(limit)}  {table['policy']}  {rates}",
    ]


def duration(seconds: float) -> str:
    """The two largest units.

    >>> duration(59.9), duration(3725), duration(90061)
    ('59s', '1h02m', '1d01h')
    """
    whole = int(seconds)
    for size, unit, below, smaller in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // below:02d}{smaller}"
    return f"{whole}s"


def head_line(columns: Sequence[Column], width: int) -> str:
    """The titles of the columns."""
    titles = (c.title.ljust(c.width) if c.text else c.title.rjust(c.width) for c in columns)
    return gap(width).join(titles).rstrip()


def finding_lines(findings: Sequence[Finding], seconds: float, width: int) -> Iterator[str]:
    """What was found in the last interval, and what to do about it."""
    if not seconds:
        yield "Findings: after the first interval"
    elif not findings:
        yield f"Findings of the last {seconds:.1f} s: none"
    else:
        yield f"Findings of the last {seconds:.1f} s"
    for finding in findings:
        said, (first, *others) = finding.sentences[0], finding.subjects
        also = f" (also {_named(others)})" if others else ""
        weight = f" ({WORDS[finding.severity]})" if finding.severity else ""
        title = f"{finding.rule.situation}{weight}  {first}"
        yield from _wrapped(f"{title}: {said.observation}{also}", "  ", width)
        yield from _wrapped(f"-> {said.inference}", "    ", width)


def plain(interval: Interval) -> str:
    """The whole view as text of at most 80 columns."""
    columns = fitting(WIDTH)
    rows = interval.rows
    lines = [
        *facts_lines(interval),
        "",
        head_line(columns, WIDTH),
        *(line(row, columns, WIDTH) for row in (interval.server, *rows)),
        "",
        *finding_lines(interval.findings, interval.seconds, WIDTH),
    ]
    return "\n".join(text[:WIDTH] for text in lines)


def _named(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:NAMED])
    return f"{shown} and {len(labels) - NAMED} more" if len(labels) > NAMED else shown


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    inner = f"{indent}  " if indent == "  " else f"{indent}   "
    return textwrap.wrap(text, max(20, width), initial_indent=indent, subsequent_indent=inner)


def _rate(value: float | None) -> str:
    return UNKNOWN if value is None else f"{figure(value, RATE_WIDTH)}/s"
