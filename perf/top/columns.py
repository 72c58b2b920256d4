"""The columns of `forkkv top`: what each shows of a process, its width, and how it sorts."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from forkkv.perf.top.interval import Row

UNKNOWN: Final = "-"
MIB: Final = 1 << 20
WIDE: Final = 120  # from here on two spaces stand between columns
UNITS: Final = ((1, ""), (10**3, "k"), (10**6, "M"), (10**9, "G"), (10**12, "T"))

Value = float | str | None


@dataclass(frozen=True)
class Column:
    """One column. Text sorts from A to Z, numbers from the largest down."""

    title: str
    width: int
    value: Callable[[Row], Value]
    meaning: str
    key: str = ""  # the letter that sorts by it
    decimals: int = 0
    text: bool = False

    def cell(self, value: Value) -> str:
        """`value` in exactly the width of the column."""
        if isinstance(value, str):
            return value[: self.width].ljust(self.width)
        return figure(value, self.width, self.decimals).rjust(self.width)


def figure(value: float | None, width: int, decimals: int = 0) -> str:
    """A number with as many decimals as fit, in thousands, millions, ... if it must be.

    >>> figure(1.234, 4, 2), figure(123.4, 4, 2), figure(1234567, 6)
    ('1.23', '123', '1235k')
    """
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    if value < 10 and not decimals and value != int(value):
        decimals = 1
    for size, unit in UNITS:
        for places in range(decimals if size == 1 else 1, -1, -1):
            shown = f"{value / size:.{places}f}{unit}"
            if len(shown) <= width and (size == 1 or value / size < 10_000):
                return shown
    return "!" * width


def state_of(row: Row) -> str:
    """What the process does now, in a word."""
    if not row.now["alive"]:
        return "dead"
    state = "stopped" if row.now["stopped"] else str(row.now["state"])
    return "".join(letter if letter.isprintable() else "?" for letter in state)


def _known(name: str, scale: float = 1) -> Callable[[Row], Value]:
    def value(row: Row) -> Value:
        known = row.known.get(name)
        return None if known is None else known * scale

    return value


def _now(name: str, scale: float = 1) -> Callable[[Row], Value]:
    def value(row: Row) -> Value:
        known = row.now.get(name)
        return None if known is None else known * scale

    return value


def _rate(name: str) -> Callable[[Row], Value]:
    return lambda row: row.per_second(name)


def _polls(row: Row) -> Value:
    commands = row.known.get("commands")
    return row.known["polls"] / commands if commands and "polls" in row.known else None


COLUMNS: Final = (
    Column(
        "process", 10, lambda row: row.label, "master, keeper, worker-N, or attached", text=True
    ),
    Column("pid", 7, _now("pid"), "in the process's own PID namespace"),
    Column("state", 8, state_of, "what it does now; stopped: by a signal", text=True),
    Column("cmd/s", 6, _known("commands_per_second"), "commands per second", "c"),
    Column("sys/c", 5, _known("calls_per_command"), "system calls per command", "s", 2),
    Column("rd/c", 4, _known("reads_per_command"), "reads per command", "", 2),
    Column("wr/c", 4, _known("writes_per_command"), "writes per command", "", 2),
    Column("CPU%", 4, _known("cpu_share", 100), "CPU time, of one core", "p", 1),
    Column("conn", 5, _now("connections"), "connections that are open", "n"),
    Column("hit%", 4, _known("hit_share", 100), "reads of keys that found one", "h", 1),
    Column("wait/s", 6, _rate("lock_waits"), "waits for a lock per second", "w", 1),
    Column("MiB", 5, _now("private_bytes", 1 / MIB), "own memory, without the table", "", 1),
    Column("poll/c", 6, _polls, "waits for events per command", "", 2),
    Column("acc/s", 6, _rate("accepted"), "connections accepted per second", "", 1),
    Column("close/s", 7, _rate("closes"), "descriptors closed per second", "", 1),
    Column("futex/s", 7, _rate("futexes"), "futex calls per second", "", 1),
    Column("CPU s", 7, _now("cpu_seconds"), "CPU seconds since it started", "", 1),
    Column("commands", 8, _now("commands"), "commands since it started"),
)
BY_TITLE: Final = {column.title: column for column in COLUMNS}
BY_KEY: Final = {column.key: column.title for column in COLUMNS if column.key}


def gap(width: int) -> str:
    """What stands between two columns on a screen of that width."""
    return "  " if width >= WIDE else " "


def fitting(width: int) -> tuple[Column, ...]:
    """The columns that a screen of that width has room for: the first one, and as many as fit."""
    chosen, used = 1, COLUMNS[0].width
    for column in COLUMNS[1:]:
        used += len(gap(width)) + column.width
        if used > width:
            break
        chosen += 1
    return COLUMNS[:chosen]


def line(row: Row, columns: Sequence[Column], width: int) -> str:
    """One process as a line."""
    return gap(width).join(column.cell(column.value(row)) for column in columns).rstrip()


def sort_rows(rows: Iterable[Row], title: str, reverse: bool = False) -> list[Row]:
    """By a column; the unknown stays last, and equals keep the order of the reading."""
    column = BY_TITLE[title]
    if column is COLUMNS[0]:  # which is the order of the reading
        ordered = list(rows)
        return ordered[::-1] if reverse else ordered
    valued = [(column.value(row), row) for row in rows]
    known = [(value, row) for value, row in valued if value is not None]
    known.sort(key=lambda pair: pair[0], reverse=column.text == reverse)
    return [row for _, row in known] + [row for value, row in valued if value is None]
