"""What `forkkv top` shows of a table: a list of its processes, or the keys, fit to the screen."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from forkkv.perf.top.columns import COLUMNS, Column, fitting, gap, line, state_of
from forkkv.perf.top.interval import Interval, Row
from forkkv.perf.top.state import KEYS, State
from forkkv.perf.top.text import facts_lines, finding_lines, head_line

FRAME: Final = 6  # lines that are neither processes nor findings
STYLES: Final = {"dead": "red", "stopped": "yellow", "draining": "yellow", "stopping": "yellow"}


def styled(text: str, style: str = "") -> Text:
    """A line that is cut at the edge of the screen."""
    return Text(text, style, no_wrap=True, overflow="crop")


def overview(
    interval: Interval, rows: Sequence[Row], state: State, width: int, height: int
) -> RenderableType:
    """The processes in the order of `rows`, around the chosen one, with the findings below."""
    columns = fitting(width)
    found = list(finding_lines(interval.findings, interval.seconds, width))
    shown, spared = share(height - FRAME, len(rows), len(found))
    first = max(0, min(state.place - shown // 2, len(rows) - shown))
    return Group(
        *(styled(text) for text in facts_lines(interval)),
        Text(),
        _head(columns, state, width),
        styled(line(interval.server, columns, width), "bold"),
        *(_row(row, columns, state, width) for row in rows[first : first + shown]),
        *([Text()] if spared else []),
        *_findings(found, spared - 1),
        *_padding(height - FRAME - shown - spared),
        footer(_place(first, shown, rows), state),
    )


def share(lines: int, rows: int, found: int) -> tuple[int, int]:
    """How many lines the processes get, and the findings with the empty line above them.

    The processes come first, but when there is no room for all the findings get up to half.
    """
    lines = max(1, lines)
    if rows + found + 1 <= lines:
        return rows, found + 1
    spared = max(lines - rows, min(found + 1, lines // 2))
    return (lines - spared, spared) if spared > 1 else (lines, 0)


def waiting(problem: str, state: State, width: int, height: int) -> RenderableType:
    """In place of a table that cannot be read."""
    text = Text(problem, "red", overflow="fold")
    lines = 1 + len(problem) // max(1, width)
    wait = styled("Waiting for it.")
    return Group(text, Text(), wait, *_padding(height - lines - 3), footer("", state))


def help_view(state: State, width: int, height: int) -> RenderableType:
    """The keys, and what the columns mean."""
    keys = [f"  {key:<15} {does}" for key, does in KEYS]
    columns = [f"  {column.title:<9} {column.meaning}" for column in COLUMNS]
    if width >= 120:
        keys += [""] * (len(columns) - len(keys))
        lines = [f"{k:<62}{c}".rstrip() for k, c in zip(keys, columns, strict=True)]
    elif height > len(keys) + len(columns) + 3:
        lines = [*keys, "", *columns]
    else:
        lines = keys
    text = [styled("Keys", "bold"), *(styled(each) for each in lines)][: height - 1]
    return Group(*text, *_padding(height - 1 - len(text)), styled("any key goes back", "dim"))


def footer(left: str, state: State) -> Text:
    """The last line: where one is, how it is sorted, how to get help."""
    order = ", reversed" if state.reverse else ""
    pace = "paused" if state.paused else f"every {state.interval:g} s"
    parts = [left, pace, f"sorted by {state.sort}{order}", "? keys", "q quit"]
    return styled("  ".join(part for part in parts if part), "dim")


def _head(columns: Sequence[Column], state: State, width: int) -> Text:
    text = styled(head_line(columns, width), "bold")
    at = 0
    for column in columns:
        if column.title == state.sort:
            text.stylize("reverse", at, at + column.width)
        at += column.width + len(gap(width))
    return text


def _row(row: Row, columns: Sequence[Column], state: State, width: int) -> Text:
    text = line(row, columns, width)
    if row.key == state.selected:
        return styled(text.ljust(width), "reverse")
    return styled(text, STYLES.get(state_of(row), ""))


def _findings(found: Sequence[str], spared: int) -> Iterable[Text]:
    if spared <= 0:
        return []
    kept = list(found[:spared])
    if len(found) > spared:
        kept[-1] = f"  ... {len(found) - spared + 1} more lines"
    title, *rest = kept
    return [styled(title, "bold"), *(styled(each) for each in rest)]


def _padding(lines: int) -> list[Text]:
    return [Text() for _ in range(lines)]


def _place(first: int, shown: int, rows: Sequence[Row]) -> str:
    if shown >= len(rows):
        return ""
    return f"{first + 1}-{first + shown} of {len(rows)}"
