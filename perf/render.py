"""Writes a report as text within 80 columns, as Markdown, or as JSON."""

import json
import re
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any, Final

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from forkkv.perf.document import Grid, Item, Part, Section, sections

WIDTH: Final = 80
GAP: Final = 2  # columns between two cells of numbers; one, if the whole grid fits so
# What Markdown would take for emphasis or a tag: a time line has such letters.
MARKED: Final = re.compile(r"(?<![A-Za-z0-9])[*_](?! )|[*_](?![A-Za-z0-9 ])|<(?=[A-Za-z/!?])")

Json = dict[str, Any]
Layout = Callable[[Json], Iterator[Section]]


def to_json(report: Json) -> str:
    """The report as JSON."""
    return json.dumps(report, indent=1) + "\n"


def to_text(report: Json, styled: bool = False, layout: Layout = sections) -> str:
    """The report as text; `styled` adds bold titles for a terminal, `layout` makes its sections."""
    out = StringIO()
    console = Console(
        file=out,
        width=WIDTH,
        force_terminal=styled,
        color_system="standard" if styled else None,
        highlight=False,
        emoji=False,
        markup=False,
    )
    for section in layout(report):
        console.print(Text(section.title, style="bold"))
        for part in section.parts:
            for piece in _text(part):
                console.print(piece)
        console.print()
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).rstrip() + "\n"


def to_markdown(report: Json, layout: Layout = sections) -> str:
    """The report as Markdown; `layout` makes its sections."""
    lines: list[str] = []
    for depth, section in enumerate(layout(report)):
        lines += [f"{'##' if depth else '#'} {section.title}", ""]
        for part in section.parts:
            lines += _markdown(part)
        lines += [""]
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n"


def pieces(grid: Grid) -> Iterator[Grid]:
    """A grid of numbers cut into grids that fit the width, each with the first column."""
    if not grid.numbers or _width(grid, 1) <= WIDTH:
        yield grid
        return
    widths = [wide + GAP for wide in _widths(grid)]
    chosen, used = [0], widths[0]
    for i in range(1, len(widths)):
        if used + widths[i] - GAP > WIDTH:  # the last column needs no gap
            yield _pick(grid, chosen)
            chosen, used = [0], widths[0]
        chosen.append(i)
        used += widths[i]
    yield _pick(grid, chosen)


def _widths(grid: Grid) -> list[int]:
    table = (grid.columns, *grid.rows)
    return [max(len(row[i]) for row in table) for i in range(len(grid.columns))]


def _width(grid: Grid, gap: int) -> int:
    widths = _widths(grid)
    return sum(widths) + gap * (len(widths) - 1)


def _pick(grid: Grid, chosen: list[int]) -> Grid:
    rows = tuple(tuple(row[i] for i in chosen) for row in grid.rows)
    return Grid(tuple(grid.columns[i] for i in chosen), rows, grid.numbers)


def _text(part: Part) -> Iterator[RenderableType]:
    if isinstance(part, Grid):
        yield from map(_text_table, pieces(part))
        return
    item = part if isinstance(part, Item) else Item(part, ())
    yield Padding(Text(item.text), (0, 0, 0, 2))
    for detail in item.details:
        yield Padding(Text(detail), (0, 0, 0, 4))


def _markdown(part: Part) -> list[str]:
    if isinstance(part, Grid):
        return ["", *_markdown_table(part), ""]
    item = part if isinstance(part, Item) else Item(part, ())
    return [f"- {_escaped(item.text)}", *(f"  - {_escaped(each)}" for each in item.details)]


def _escaped(text: str) -> str:
    return MARKED.sub(r"\\\g<0>", text)


def _text_table(grid: Grid) -> Table:
    if grid.numbers:
        gap = GAP if _width(grid, GAP) <= WIDTH else 1
        table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
        for i, name in enumerate(grid.columns):
            table.add_column(name, justify="right" if i else "left", no_wrap=True)
    else:
        table = Table(box=box.ASCII2, show_lines=True, expand=True, padding=(0, 1))
        for name in grid.columns:
            table.add_column(name, ratio=1)
    for row in grid.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _markdown_table(grid: Grid) -> list[str]:
    rule = ["---:" if grid.numbers and i else "---" for i in range(len(grid.columns))]
    rows = (grid.columns, tuple(rule), *grid.rows)
    return [
        "| " + " | ".join(_escaped(cell).replace("|", "\\|") for cell in row) + " |" for row in rows
    ]
