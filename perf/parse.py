"""Reads what perf stat wrote: one row of text per event becomes one Count.

Example input (perf stat -x\\; -o FILE), as perf 5 and 6 write it:

    # started on Sun Nov 22 16:16:24 2026

    500;;syscalls:sys_enter_read;1280686;100.00;;
    <not counted>;;syscalls:sys_enter_write;0;100.00;;
    33.72;msec;task-clock;33715482;100.00;0.034;CPUs utilized

There is no header, and optional columns (time, thread, cpu) come first, so the row is read from its
event name: the value stands two fields before it, the run time and its share right after it. Only
the exact name counts: a suffix (sys_enter_readu) means that the kernel's side was left out.
"""

from dataclasses import dataclass
from typing import Final

from forkkv.perf import events

SEPARATOR: Final = ";"
NOT_COUNTED: Final = "<not counted>"
NOT_SUPPORTED: Final = "<not supported>"
NEVER_RAN: Final = "never ran in the window"


@dataclass(frozen=True)
class Count:
    """What perf says of one event. `value` None: not known, which is not the same as zero."""

    value: float | None
    note: str = ""  # "" when the value is exact


def read_counts(text: str) -> dict[str, Count]:
    """The counts in one perf stat file, by event name. Rows of the same event are added up."""
    counts: dict[str, Count] = {}
    for line in text.splitlines():
        fields = line.split(SEPARATOR)
        place = _place_of_event(fields)
        if place is not None:
            event, count = fields[place], _count(fields, place)
            counts[event] = _sum(counts[event], count) if event in counts else count
    return counts


def read_intervals(text: str) -> list[tuple[float, dict[str, float]]]:
    """The rows of `perf stat -I`: seconds since it started, and what was counted since the last.

    Empty for a file without intervals. What could not be counted is not in it.
    """
    rows: dict[float, dict[str, float]] = {}
    for line in text.splitlines():
        fields = line.split(SEPARATOR)
        place = _place_of_event(fields)
        if place is None or place < 3 or (seconds := _seconds(fields[0])) is None:
            continue
        value = _count(fields, place).value
        if value is not None:
            values = rows.setdefault(seconds, {})
            values[fields[place]] = values.get(fields[place], 0.0) + value
    return sorted(rows.items())


def _place_of_event(fields: list[str]) -> int | None:
    return next((i for i, field in enumerate(fields) if i >= 2 and field in events.NAMES), None)


def _seconds(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None


def syscall_counts(counts: dict[str, Count]) -> dict[str, Count]:
    """The system calls among `counts`, by call name."""
    return _strip(counts, "syscalls:sys_enter_")


def failure_counts(counts: dict[str, Count]) -> dict[str, Count]:
    """The failed system calls among `counts`, by call name."""
    return _strip(counts, "syscalls:sys_exit_")


def _strip(counts: dict[str, Count], prefix: str) -> dict[str, Count]:
    return {e.removeprefix(prefix): c for e, c in counts.items() if e.startswith(prefix)}


def _count(fields: list[str], place: int) -> Count:
    value = fields[place - 2].strip()
    share = float(fields[place + 2].replace(",", ".")) if len(fields) > place + 2 else 100.0
    if value == NOT_SUPPORTED:
        return Count(None, "not supported here")
    if value == NOT_COUNTED:
        return Count(0, NEVER_RAN)  # these events need no counter of the CPU: it cannot be else
    number = float(value.replace(",", "."))  # a comma: written under another locale
    return Count(number, "" if share == 100.0 else f"estimated from {share:.0f}% of the window")


def _sum(a: Count, b: Count) -> Count:
    if a.value is None or b.value is None:
        return a if a.value is None else b
    if NEVER_RAN in (a.note, b.note):
        return b if a.note == NEVER_RAN else a
    return Count(a.value + b.value, a.note or b.note)
