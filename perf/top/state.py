"""What the person at `forkkv top` has chosen, and what each key changes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from forkkv.perf.top.columns import BY_KEY, COLUMNS
from forkkv.perf.top.interval import Row
from forkkv.perf.top.live import Key

INTERVALS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds
PAGE: Final = 10  # rows
STEPS: Final = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -PAGE, "pagedown": PAGE}
BACK: Final = ("escape", "enter", "backspace")

# For people; docs/operating.md has the same rows.
KEYS: Final = (
    ("q", "quit"),
    ("up, down, k, j", "choose a process; PgUp, PgDn, Home, End as well"),
    ("Enter", "open the process; Enter, Esc or Backspace goes back"),
    ("<, >", "sort by the column on the left, on the right"),
    ("c, s, p", "sort by commands, system calls per command, CPU"),
    ("n, h, w", "sort by connections, hit ratio, lock waits"),
    ("r", "reverse the order"),
    ("space", "pause, go on"),
    ("+, -", "a longer, a shorter interval"),
    ("?", "these keys"),
)


@dataclass
class State:
    """`place` is where the chosen process stood last, should it be gone."""

    interval: float = 1.0
    sort: str = COLUMNS[0].title
    reverse: bool = False
    paused: bool = False
    opened: bool = False
    helping: bool = False
    ended: bool = False
    selected: Key | None = None
    place: int = 0
    scroll: int = 0  # lines, in an opened process

    def press(self, key: str, rows: Sequence[Row], titles: Sequence[str]) -> None:
        """One key, while `rows` are shown, sorted, and the columns with these titles."""
        if key == "q":
            self.ended = True
        elif self.helping:
            self.helping = False
        elif key == "?":
            self.helping = True
        elif key == " ":
            self.paused = not self.paused
        elif key in ("+", "="):
            self.interval = min((i for i in INTERVALS if i > self.interval), default=self.interval)
        elif key in ("-", "_"):
            self.interval = max((i for i in INTERVALS if i < self.interval), default=self.interval)
        elif self.opened:
            self._press_in_process(key)
        else:
            self._press_in_list(key, rows, titles)

    def settle(self, rows: Sequence[Row]) -> None:
        """Finds the chosen process among `rows`; if it is gone, takes what is in its place."""
        places = {row.key: place for place, row in enumerate(rows)}
        if self.opened and self.selected not in places:
            return  # what is open stays so, to say that it is gone
        self.place = places.get(self.selected or (), max(0, min(self.place, len(rows) - 1)))
        self.selected = rows[self.place].key if rows else None

    def _press_in_process(self, key: str) -> None:
        if key in BACK:
            self.opened = False
        elif key == "home":
            self.scroll = 0
        else:
            self.scroll = max(0, self.scroll + STEPS.get(key, 0))

    def _press_in_list(self, key: str, rows: Sequence[Row], titles: Sequence[str]) -> None:
        last = max(0, len(rows) - 1)
        if key in STEPS:
            self._choose(max(0, min(last, self.place + STEPS[key])), rows)
        elif key in ("home", "end"):
            self._choose(0 if key == "home" else last, rows)
        elif key == "enter":
            self.opened, self.scroll = self.selected is not None, 0
        elif key == "r":
            self.reverse = not self.reverse
        elif key in BY_KEY:
            self._sort_by(BY_KEY[key])
        elif key in ("<", ">") and titles:
            at = titles.index(self.sort) if self.sort in titles else 0
            self._sort_by(titles[(at + (1 if key == ">" else -1)) % len(titles)])

    def _choose(self, place: int, rows: Sequence[Row]) -> None:
        if rows:
            self.place, self.selected = place, rows[place].key

    def _sort_by(self, title: str) -> None:
        self.sort, self.reverse = title, False
        self.selected, self.place = None, 0  # what comes first now is what one sorted for
