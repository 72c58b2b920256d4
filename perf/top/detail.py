"""What `forkkv top` shows of one process: every count of its own, and how its pace went."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from forkkv.perf.top.columns import COLUMNS, figure, state_of
from forkkv.perf.top.interval import Interval, Row
from forkkv.perf.top.live import Key
from forkkv.perf.top.state import State
from forkkv.perf.top.text import finding_lines
from forkkv.perf.top.view import footer, styled

HISTORY: Final = 300  # intervals
BARS: Final = "▁▂▃▄▅▆▇█"
ASCII_BARS: Final = "_.-=+*%#"
NUMBER: Final = 9  # columns of a number
CELL: Final = 38  # columns of a counter with its numbers
NAMES: Final = CELL - 2 * (NUMBER + 1)


class History:
    """Commands per second of every process, interval by interval."""

    def __init__(self) -> None:
        self._paces: dict[Key, deque[float]] = {}

    def add(self, rows: Iterable[Row]) -> None:
        """One interval more; a process that is gone is forgotten."""
        paces = {}
        for row in rows:
            paces[row.key] = self._paces.get(row.key, deque(maxlen=HISTORY))
            if (pace := row.per_second("commands")) is not None:
                paces[row.key].append(pace)
        self._paces = paces

    def of(self, key: Key) -> list[float]:
        """The oldest first; empty when nothing is known."""
        return list(self._paces.get(key, ()))


def sparkline(values: Sequence[float], width: int, bars: str = BARS) -> str:
    """The last `width` values as bars, from zero to the largest of them."""
    shown = values[-width:] if width > 0 else []
    top = max(shown, default=0)
    if not top:
        return bars[0] * len(shown)
    return "".join(bars[round(value / top * (len(bars) - 1))] for value in shown)


def detail(
    interval: Interval,
    row: Row | None,
    paces: Sequence[float],
    state: State,
    size: tuple[int, int],
    bars: str = BARS,
) -> RenderableType:
    """One process; None: it is gone. `size`: columns and lines of the screen."""
    width, height = size
    last = footer("Esc back", state)
    if row is None:
        gone = styled("This process has ended, or was replaced.", "yellow")
        return Group(gone, *(Text() for _ in range(height - 2)), last)
    head = [*_head(row, paces, width, bars), Text()][: max(1, height - 3)]
    room = max(1, height - len(head) - 1)
    lines = list(_lines(interval, row, width))
    state.scroll = max(0, min(state.scroll, len(lines) - room))
    shown = lines[state.scroll : state.scroll + room]
    more = f"lines {state.scroll + 1}-{state.scroll + len(shown)} of {len(lines)}"
    if len(shown) < len(lines):
        last = footer(f"Esc back  {more}", state)
    return Group(*head, *shown, *(Text() for _ in range(room - len(shown))), last)


def _head(row: Row, paces: Sequence[float], width: int, bars: str) -> Iterator[Text]:
    state = state_of(row)
    yield styled(f"{row.label}  pid {row.now['pid']}  {state}", "bold")
    known = [f"{each.title} {each.cell(each.value(row)).strip()}" for each in COLUMNS[3:]]
    yield from _filled(known, "  ", width)
    peak = figure(max(paces), 6) if paces else "-"
    title = f"cmd/s, highest {peak}: "
    yield styled(title + sparkline(paces, width - len(title), bars))


def _lines(interval: Interval, row: Row, width: int) -> Iterator[Text]:
    assert row.process is not None
    yield from _grid("system call", row, row.now["syscalls"], width)
    yield Text()
    yield from _grid("counter", row, _events(row), width)
    about = [f for f in interval.findings if row.process.label in f.subjects]
    yield Text()
    yield from (styled(each) for each in finding_lines(about, interval.seconds, width))


def _events(row: Row) -> dict[str, int]:
    own = {name: row.now[name] for name in ("commands", "hits", "misses", "lock_waits")}
    return {**own, **row.now["counters"]}


def _grid(title: str, row: Row, counts: dict[str, int], width: int) -> Iterator[Text]:
    """Counts with their rates, from the top down in as many columns as there is room for."""
    across = max(1, (width + 2) // (CELL + 2))
    head = f"{title:<{NAMES}} {'total':>{NUMBER}} {'per s':>{NUMBER}}"
    cells = [_cell(row, name, count) for name, count in counts.items() if count]
    deep = -(-len(cells) // across)
    yield styled("  ".join([head] * max(1, min(across, len(cells)))), "bold")
    for at in range(deep):
        yield styled("  ".join(cells[at::deep]))
    zero = [name for name, count in counts.items() if not count]
    if zero:
        yield from _filled(["zero:", *zero], " ", width)


def _filled(parts: Iterable[str], between: str, width: int) -> Iterator[Text]:
    """As many parts in each line as fit."""
    line = ""
    for part in parts:
        if line and len(line) + len(between) + len(part) > width:
            yield styled(line)
            line = ""
        line += between + part if line else part
    yield styled(line)


def _cell(row: Row, name: str, count: int) -> str:
    assert row.process is not None
    grown = row.process.own_calls.get(name) or row.process.own.get(name)
    seconds = row.known["seconds"]
    rate = grown.best / seconds if grown and seconds else None
    total = figure(count, NUMBER)
    return f"{name[:NAMES]:<{NAMES}} {total:>{NUMBER}} {figure(rate, NUMBER, 1):>{NUMBER}}"
