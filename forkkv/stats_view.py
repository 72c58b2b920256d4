"""`forkkv stats` for people: a table of processes and the facts of the table they share.

Columns named after a system call count its calls. Memory is the process's own, without the table.
"""

from collections.abc import Callable
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from forkkv.memory import HEAD_BYTES, KEYS_MIN
from forkkv.sizes import format_size

Process = dict[str, Any]
Cell = Callable[[Process], str]


def short(count: int) -> str:
    """A count in at most six characters: exact below a million."""
    if count < 1_000_000:
        return str(count)
    for unit in "MGTP":
        count_in_unit = count / 1_000_000
        if count_in_unit < 1000 or unit == "P":
            return f"{count_in_unit:.4g}{unit}"
        count //= 1000
    return str(count)


def _syscall(name: str) -> Cell:
    return lambda process: short(process["syscalls"][name])


def _own(name: str) -> Cell:
    return lambda process: short(process[name])


def _who(process: Process) -> str:
    numbered = process["role"] == "worker"
    return f"worker {process['index']}" if numbered else str(process["role"])


def _state(process: Process) -> str:
    if not process["alive"]:
        return "dead"
    return "stopped" if process["stopped"] else str(process["state"])


def _cpu(process: Process) -> str:
    seconds = process["cpu_seconds"]
    return "?" if seconds is None else f"{seconds:.2f}"


def _memory(process: Process) -> str:
    size = process["private_bytes"]
    return "?" if size is None else f"{size / (1 << 20):.1f}"


COLUMNS: dict[str, Cell] = {
    "process": _who,
    "pid": lambda process: str(process["pid"]),
    "state": _state,
    "conns": _own("connections"),
    "cmds": _own("commands"),
    "read": _syscall("read"),
    "write": _syscall("write"),
    "accept": _syscall("accept4"),
    "close": _syscall("close"),
    "hits": _own("hits"),
    "misses": _own("misses"),
    "waits": _own("lock_waits"),
    "CPU s": _cpu,
    "MiB": _memory,
}
LEFT = ("process", "state")


def table_lines(stats: dict[str, Any]) -> list[str]:
    """The facts of the table, each line below 80 characters."""
    table = stats["table"]
    return [
        f"table {table['name']}: {table['keys']} keys, {table['expiring']} of them with an expiry"
        + (" -- RETIRED" if table["retired"] else ""),
        *_memory_lines(table, stats["memory"], stats["shared_memory"]),
        f"segments: {table['segments']} of {format_size(table['segment_bytes'])}, "
        f"{table['segments_open']} open, {table['segments_free']} free",
        f"repairs: {table['repairs']}",
    ]


def _memory_lines(table: Any, memory: Any, room: Any) -> list[str]:
    """What the limit is used for; docs/operating.md explains each word."""
    size = {name: format_size(n) for name, n in memory.items() if name.endswith("_bytes")}
    rest = format_size(memory["fixed_bytes"] + memory["other_bytes"])
    copied = memory["copied_per_freed"]
    lines = [
        f"memory: {size['used_bytes']} of {size['limit_bytes']} used, {size['free_bytes']} free, "
        f"{size['reserve_bytes']} of it reserve",
        f"used for: {size['live_bytes']} live, {size['dead_bytes']} dead, "
        f"{size['index_bytes']} index, {rest} rest",
        f"overhead per item: {_overhead(table, memory)}",
        f"policy {table['policy']}: {short(memory['evicted'])} evicted, "
        f"{short(memory['ghost_hits'])} ghost hits, {size['ghost_bytes']} of ghosts",
        f"reclaim: {'nothing freed' if copied is None else f'{copied:.2f} bytes copied per freed'}"
        f"; {short(memory['expired'])} expired, {short(memory['refused'])} writes refused",
    ]
    if room:
        lines.insert(2, _room_line(room, memory["limit_bytes"] - memory["used_bytes"]))
    return lines


def _room_line(room: dict[str, int], growth: int) -> str:
    """What /dev/shm has left for the bytes that the limit still allows."""
    free, total = room["free_bytes"], room["total_bytes"]
    line = f"/dev/shm: {format_size(free)} of {format_size(total)} free"
    return line if free >= growth else f"{line}, {format_size(growth)} may be needed -- TOO SMALL"


def _overhead(table: Any, memory: Any) -> str:
    if table["keys"] < KEYS_MIN:
        return f"{HEAD_BYTES} bytes, and {format_size(table['index_bytes'])} of index for them all"
    index = table["index_bytes"] / table["keys"]
    return f"{memory['overhead_per_key']:.1f} bytes, {index:.1f} of them index"


def plain_text(stats: dict[str, Any]) -> str:
    """The same as aligned text, for a pipe."""
    rows = [list(COLUMNS)]
    rows += [[cell(each) for cell in COLUMNS.values()] for each in stats["processes"]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        " ".join(
            text.ljust(width) if name in LEFT else text.rjust(width)
            for name, text, width in zip(COLUMNS, row, widths, strict=True)
        )
        for row in rows
    ]
    return "\n".join([*lines, "", *table_lines(stats)])


def rich_view(stats: dict[str, Any]) -> Group:
    """The same for a terminal."""
    view = Table(box=None, pad_edge=False, header_style="bold")
    for name in COLUMNS:
        view.add_column(name, justify="left" if name in LEFT else "right", no_wrap=True)
    for process in stats["processes"]:
        style = None if process["alive"] else "red"
        view.add_row(*(cell(process) for cell in COLUMNS.values()), style=style)
    return Group(view, Text(), *(Text(line) for line in table_lines(stats)))
