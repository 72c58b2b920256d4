"""What is counted: the system calls by perf's names, and the families that they form.

A family is one intention under several names: Python's sock.recv() is recvfrom, a C server's read
is read. A report on `read` alone would show zeros for half of all servers.

The list is kept short: the kernel takes every counter off and puts it on again at each switch to
another process, which is what counting costs. What is not listed still shows in the total.
"""

from typing import Final

FAMILIES: Final[dict[str, tuple[str, ...]]] = {
    "reads": ("read", "recvfrom", "recvmsg"),
    "writes": ("write", "writev", "sendto", "sendmsg"),
    "accepts": ("accept", "accept4"),
    "closes": ("close",),
    "connects": ("connect",),
    "polls": ("epoll_wait", "epoll_pwait", "poll", "pselect6"),
    "watches": ("epoll_ctl",),
    "futexes": ("futex",),
    "fsyncs": ("fsync", "fdatasync"),
    "reserves": ("fallocate",),
    "settings": ("setsockopt", "fcntl"),
    "forks": ("clone",),
    "reaps": ("wait4",),
    "rings": ("io_uring_enter",),
}

CALLS: Final = tuple(call for family in FAMILIES.values() for call in family)

# Also counted by outcome: how many of them failed (EAGAIN, ECONNREFUSED, ...).
FAILING: Final = ("read", "write", "accept4", "connect")

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


def arguments(missing: frozenset[str] = frozenset()) -> list[str]:
    """perf's -e and --filter arguments for everything above, without the calls in `missing`.

    A --filter applies to every event of the -e before it, so each of these has an -e of its own.
    """
    entered = [f"syscalls:sys_enter_{call}" for call in CALLS if call not in missing]
    chosen = ["-e", ",".join([TOTAL, CPU, *entered])]
    for call in FAILING:
        if call not in missing:
            chosen += ["-e", f"syscalls:sys_exit_{call}", "--filter", "ret<0"]
    return chosen
