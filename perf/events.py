"""What is counted: the system calls by perf's names, and the families that they form.

A family is one intention under several names: Python's sock.recv() is recvfrom, a C server's read
is read. A report on `read` alone would show zeros for half of all servers.

The kernel takes every counter off and puts it on again at each switch to another process: that is
what counting costs. So the list is kept short, and shorter still for forkkv's own processes, which
make few kinds of calls. What is not listed still shows in the total.
"""

from collections.abc import Iterable
from typing import Final

from forkkv._core import SYSCALLS

FAMILIES: Final[dict[str, tuple[str, ...]]] = {
    "reads": ("read", "readv", "recvfrom", "recvmsg"),
    "writes": ("write", "writev", "sendto", "sendmsg"),
    "accepts": ("accept", "accept4"),
    "closes": ("close",),
    "connects": ("connect",),
    "opens": ("openat",),
    "polls": ("epoll_wait", "epoll_pwait", "poll", "ppoll", "select", "pselect6"),
    "watches": ("epoll_ctl",),
    "futexes": ("futex",),
    "fsyncs": ("fsync", "fdatasync"),
    "reserves": ("fallocate",),
    "settings": ("setsockopt", "fcntl"),
    "forks": ("clone", "clone3"),
    "reaps": ("wait4",),
    "rings": ("io_uring_enter",),
}

CALLS: Final = tuple(call for family in FAMILIES.values() for call in family)

# What the processes of forkkv's server make.
OF_ROLE: Final[dict[str, tuple[str, ...]]] = {
    "master": (*SYSCALLS, "clone", "wait4"),
    "keeper": SYSCALLS,
    "worker": SYSCALLS,
}

# Also counted by outcome: how many of them failed (EAGAIN, ECONNREFUSED, ...).
FAILING: Final = ("read", "recvfrom", "write", "sendto", "accept4", "connect")

TOTAL: Final = "raw_syscalls:sys_enter"
CPU: Final = "task-clock"

NAMES: Final = frozenset(
    (
        TOTAL,
        CPU,
        *(f"syscalls:sys_enter_{call}" for call in CALLS),
        *(f"syscalls:sys_exit_{call}" for call in FAILING),
    )
)


def arguments(missing: frozenset[str] = frozenset(), calls: Iterable[str] = CALLS) -> list[str]:
    """perf's -e and --filter arguments for these calls, without those in `missing`.

    A --filter applies to every event of the -e before it, so each of these has an -e of its own.
    """
    wanted = [call for call in calls if call not in missing]
    chosen = ["-e", ",".join([TOTAL, CPU, *(f"syscalls:sys_enter_{call}" for call in wanted)])]
    for call in FAILING:
        if call in wanted:
            chosen += ["-e", f"syscalls:sys_exit_{call}", "--filter", "ret<0"]
    return chosen
