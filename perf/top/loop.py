"""The loop of `forkkv top`: read the table, show it, take the keys; or print it again and again."""

import time
from collections.abc import Callable

from rich.console import Console, RenderableType

from forkkv import _core
from forkkv.perf.run import Json
from forkkv.perf.top.as_json import no_table, to_json
from forkkv.perf.top.columns import fitting, sort_rows
from forkkv.perf.top.detail import ASCII_BARS, BARS, History, detail
from forkkv.perf.top.interval import Interval, Row, between, read_now
from forkkv.perf.top.screen import Screen
from forkkv.perf.top.state import State
from forkkv.perf.top.text import plain
from forkkv.perf.top.view import help_view, overview, waiting


class Sampler:
    """Readings of one table, each compared with the one before, across restarts of its server."""

    def __init__(self, name: str) -> None:
        """Takes the first reading. Raises as forkkv.stats.read_stats()."""
        self.name = name
        self.problem = ""
        self._earlier: Json | None = read_now(name)
        self.interval = between(None, self._earlier)
        self.history = History()

    def take(self) -> None:
        """Reads again. When the table cannot be read `problem` says why; `interval` stays."""
        try:
            later = read_now(self.name)
        except (_core.Error, OSError) as error:
            self.problem, self._earlier = str(error), None
            return
        self.problem, self.interval = "", between(self._earlier, later)
        self._earlier = later
        self.history.add(self.interval.rows)


def watch(sampler: Sampler, console: Console, seconds: float, count: int | None) -> None:
    """The live view, until q is pressed or after `count` intervals of `seconds`."""
    state = State(seconds)
    taken, shown = time.monotonic(), 0
    with Screen(console) as screen:
        while not state.ended:
            rows = [] if sampler.problem else _sorted(sampler.interval, state)
            state.settle(rows)
            screen.draw(_view(sampler, rows, state, console))
            if shown == count:
                break
            left = None if state.paused else max(0.0, taken + state.interval - time.monotonic())
            titles = [column.title for column in fitting(console.width)]
            for key in screen.wait(left):
                state.press(key, rows, titles)
                rows = _sorted(sampler.interval, state) if rows else rows
                state.settle(rows)
            if not state.paused and time.monotonic() >= taken + state.interval:
                sampler.take()
                taken, shown = time.monotonic(), shown + 1


def stream(
    sampler: Sampler, seconds: float, count: int | None, as_json: bool, write: Callable[[str], None]
) -> None:
    """Writes an interval each `seconds`, `count` times (None: for ever), as text or JSON.

    Text ends when the table cannot be read; in JSON that is an object like the others.
    """
    written, due = 0, time.monotonic()
    while written != count:
        due = max(due + seconds, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        sampler.take()
        if sampler.problem and not as_json:
            break
        write(_written(sampler, as_json, first=not written))
        written += 1


def _written(sampler: Sampler, as_json: bool, first: bool) -> str:
    if sampler.problem:
        return no_table(sampler.name, sampler.problem, time.time())
    if as_json:
        return to_json(sampler.interval)
    return plain(sampler.interval) if first else "\n" + plain(sampler.interval)


def _sorted(interval: Interval, state: State) -> list[Row]:
    return sort_rows(interval.rows, state.sort, state.reverse)


def _view(sampler: Sampler, rows: list[Row], state: State, console: Console) -> RenderableType:
    width, height = console.size
    if state.helping:
        return help_view(state, width, height)
    if sampler.problem:
        return waiting(sampler.problem, state, width, height)
    if not state.opened or state.selected is None:
        return overview(sampler.interval, rows, state, width, height)
    chosen = next((row for row in rows if row.key == state.selected), None)
    bars = BARS if console.encoding.startswith("utf") else ASCII_BARS
    paces = sampler.history.of(state.selected)
    return detail(sampler.interval, chosen, paces, state, (width, height), bars)
