"""What is counted: the processes of a table's server, or any processes by their pids.

A target's label names it in files and tables: master, keeper, worker-0, attached-4711, nginx-88. A
table knows its processes by the pid that they have in their own PID namespace; in a container that
is another one than ours, so it is looked up by start time and by the last number of NSpid.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from forkkv.stats import ROLES
from forkkv.usage import read_start_ticks

PROC: Final = Path("/proc")
PLAIN: Final = re.compile(r"[^\w.]+")  # what a file's name need not have

Json = dict[str, Any]
Key = tuple[str, int, int | None, int | None]


class NoTarget(ValueError):
    """There is nothing to count; the message says what to do."""


@dataclass(frozen=True)
class Target:
    """A process to count. `pid` is the one it has here, None when it cannot be seen from here."""

    label: str
    role: str  # master, keeper, worker, attached, client
    index: int
    pid: int | None
    table_pid: int | None = None  # as the table has it
    start_ticks: int | None = None  # as the table has it: in two containers both may be pid 1
    command: str = ""  # of a client that the caller named

    @property
    def key(self) -> Key:
        """What tells it from the one that takes its place later."""
        return self.role, self.index, self.table_pid, self.start_ticks


def of_table(stats: Json, known: Collection[Key] = ()) -> list[Target]:
    """The living processes of a table, from one reading of `forkkv stats`, but for the `known`."""
    fresh = [entry for entry in stats["processes"] if entry["alive"] and _key(entry) not in known]
    fresh.sort(key=lambda entry: (ROLES.index(entry["role"]), entry["index"], entry["pid"]))
    return [
        Target(
            label=label_of(entry),
            role=entry["role"],
            index=entry["index"],
            pid=pid_here(entry["pid"], entry["start_ticks"]),
            table_pid=entry["pid"],
            start_ticks=entry["start_ticks"],
        )
        for entry in fresh
    ]


def _key(entry: Json) -> Key:
    return entry["role"], entry["index"], entry["pid"], entry["start_ticks"]


def label_of(entry: Json) -> str:
    """The name of one process of `forkkv stats` in files and tables."""
    role = str(entry["role"])
    if role in ("master", "keeper"):
        return role
    return f"{role}-{entry['pid' if role == 'attached' else 'index']}"


def of_pids(pids: Iterable[int]) -> list[Target]:
    """Each process, with its descendants: the master of a prefork server brings its workers.

    Raises NoTarget for a pid that no process has.
    """
    found: dict[int, Target] = {}
    for pid in pids:
        try:
            first = psutil.Process(pid)
            family = [first, *first.children(recursive=True)]
        except psutil.Error:
            raise NoTarget(f"there is no process {pid}; ps -ef lists those that run") from None
        for place, process in enumerate(family):
            role = "master" if len(family) > 1 and place == 0 else "worker"
            found.setdefault(process.pid, _by_pid(process.pid, role, len(found)))
    return list(found.values())


def of_roots(roots: Iterable[int], known: Collection[int | None]) -> list[Target]:
    """The descendants of these, but for those with a `known` pid, and of roots that are gone."""
    found = []
    for root in roots:
        with suppress(NoTarget):
            found += [target for target in of_pids([root]) if target.pid not in known]
    return found


def of_client(pid: int, number: int) -> Target:
    """A client that runs already. Raises NoTarget for a pid that no process has."""
    if not psutil.pid_exists(pid):
        raise NoTarget(f"there is no process {pid} to count as a client; ps -ef lists what runs")
    return Target(f"client-{number}", "client", number, pid, command=command_line(pid))


def _by_pid(pid: int, role: str, index: int) -> Target:
    return Target(f"{PLAIN.sub('_', name_of(pid)) or 'process'}-{pid}", role, index, pid)


def port_of(targets: Iterable[Target]) -> int | None:
    """The TCP port that the first of these to listen listens on; None if none can be seen to."""
    for target in targets:
        try:
            sockets = psutil.Process(target.pid).net_connections("tcp") if target.pid else []
        except psutil.Error:
            continue
        for each in sockets:
            if each.status == psutil.CONN_LISTEN:
                return int(each.laddr.port)
    return None


def name_of(pid: int) -> str:
    """The name that the kernel has for a process; empty when it is gone."""
    try:
        return (PROC / str(pid) / "comm").read_text().rstrip("\n")
    except OSError:
        return ""


def command_line(pid: int) -> str:
    """The words that a process was started with, in one line; empty when it is gone."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def pid_here(pid: int, start_ticks: int) -> int | None:
    """The pid that a process of some PID namespace has in ours; None if it is not seen from here.

    `pid` is its own, `start_ticks` field 22 of its stat file, which is the same in every namespace.
    """
    if _started(pid) == start_ticks:
        return pid
    return next((p for p in _all_pids() if _own_pid(p) == pid and _started(p) == start_ticks), None)


def _all_pids() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def _started(pid: int) -> int | None:
    try:
        return read_start_ticks(pid)
    except (OSError, IndexError):
        return None


def _own_pid(pid: int) -> int | None:
    """The last of its pids: the one in its own namespace."""
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return None
    found = re.search(r"^NSpid:.*?(\d+)$", status, re.MULTILINE)
    return int(found[1]) if found else None
