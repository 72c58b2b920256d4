"""Compares perf's counts with what each process counted itself, call by call.

A process's own count is taken twice at each edge of perf's window, so it bounds what perf may have
seen. If nothing happened at the edges the bounds are one number, and perf must show that number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from forkkv.perf.events import FAMILIES
from forkkv.perf.process import OwnCount, Process
from forkkv.perf.run import Run

# A process may sleep in these calls at an edge. perf counts a call when it begins, a process
# perhaps when it ends, so each edge can move one call across it.
SLEEPING: Final = frozenset((*FAMILIES["polls"], *FAMILIES["futexes"]))
SLEEPING_ALLOWANCE: Final = 1
KERNEL: Final = ("perf", "bpftrace")  # the sources that count in the kernel


@dataclass(frozen=True)
class Check:
    """One call of one process, counted twice."""

    process: str
    call: str
    perf: int
    own: OwnCount
    allowance: int

    @property
    def difference(self) -> int:
        """How far perf's count lies outside of the bounds; 0 within them."""
        return self.perf - min(max(self.perf, self.own.least), self.own.most)

    @property
    def agrees(self) -> bool:
        """Whether the two counts can both be right."""
        return abs(self.difference) <= self.allowance

    @property
    def verdict(self) -> str:
        """In one or two words."""
        if not self.agrees:
            return "DIFFERS"
        if self.difference:
            return "1 at an edge"
        return "exact" if self.own.least == self.own.most else "in bounds"


def check(run: Run) -> list[Check]:
    """Every call that both perf and forkkv counted, and that happened at all."""
    if not run.facts["counter"]["aligned"]:
        return []  # an older perf, or strace: the windows are not the same
    return [row for process in run.server if _comparable(process) for row in _rows(process)]


def _comparable(process: Process) -> bool:
    """Whether the kernel and the process counted the same calls.

    A program that has the table open makes calls of its own, which forkkv does not count. bpftrace
    sees a worker's very first calls, which are made before it has counters.
    """
    born = process.source == "bpftrace" and process.newcomer
    return process.source in KERNEL and process.role != "attached" and not born


def _rows(process: Process) -> Iterator[Check]:
    for call, own in process.own_calls.items():
        counted = process.calls.get(call)
        if counted is None or counted.value is None or counted.note.startswith("estimated"):
            continue
        if counted.value or own.most:
            allowance = SLEEPING_ALLOWANCE if call in SLEEPING else 0
            yield Check(process.label, call, round(counted.value), own, allowance)


# What forkkv does not count itself, and why it makes such calls.
UNCOUNTED: Final = {
    "getppid": "workers and keeper ask whether the master lives",
    "rt_sigtimedwait": "master and keeper wait for signals",
    "setitimer": "master and keeper wait no longer than that",
    "wait4": "the master looks for children that ended",
    "newfstatat": "the master looks whether its table is still there",
    "brk": "the C library takes memory for buffers",
    "mmap": "the C library takes memory for buffers",
    "munmap": "the C library gives memory back",
    "mremap": "the C library enlarges a buffer",
}


def explanations(run: Run, checks: list[Check]) -> list[str]:
    """Why the kernel sees more than a process counts itself, by the names of the calls."""
    said = []
    for check in checks:
        if check.call == "write" and check.difference > 0:
            said.append(
                f"{check.process} write {check.difference:+d}: a line of the server's log is a "
                "write too, and forkkv does not count it."
            )
        if check.call == "futex" and not check.agrees:
            said.append(
                f"{check.process} futex {check.difference:+d}: whether a wait or a wake-up needs "
                "the call is the C library's decision, which forkkv foresees nearly always."
            )
    rest = {p.label: more for p in run.server if checks and (more := _uncounted(p))}
    if rest:
        names = ", ".join(UNCOUNTED)
        each = ", ".join(f"{label} {count}" for label, count in rest.items())
        said.append(f"Calls that forkkv does not count itself ({names}): {each}.")
    return said


def _uncounted(process: Process) -> int:
    """How many more calls the kernel saw than those that forkkv has counters for."""
    total = process.total.value
    if total is None or not process.own_calls or process.role == "attached":
        return 0
    counted = (process.calls.get(call) for call in process.own_calls)
    return round(total - sum(count.value or 0 for count in counted if count is not None))
