"""Compares perf's counts with what each process counted itself, call by call.

A process's own count is taken twice at each edge of perf's window, so it bounds what perf may have
seen. If nothing happened at the edges the bounds are one number, and perf must show that number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from forkkv.perf.events import FAMILIES
from forkkv.perf.run import OwnCount, Process, Run

# A process may sleep in these calls at an edge. perf counts a call when it begins, a process
# perhaps when it ends, so each edge can move one call across it.
SLEEPING: Final = frozenset((*FAMILIES["polls"], *FAMILIES["futexes"]))
SLEEPING_ALLOWANCE: Final = 1


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
    if not run.facts["perf"]["aligned"]:
        return []  # an older perf: the windows are not the same
    return [row for process in run.server if process.source == "perf" for row in _rows(process)]


def _rows(process: Process) -> Iterator[Check]:
    for call, own in process.own_calls.items():
        counted = process.calls.get(call)
        if counted is None or counted.value is None or counted.note.startswith("estimated"):
            continue
        if counted.value or own.most:
            allowance = SLEEPING_ALLOWANCE if call in SLEEPING else 0
            yield Check(process.label, call, round(counted.value), own, allowance)


def explanations(checks: list[Check]) -> list[str]:
    """What is known to make perf see more than a process counts itself."""
    logged = [c for c in checks if c.call == "write" and c.difference > 0]
    return [
        f"{check.process} write {check.difference:+d}: a line of the server's log is a write too, "
        "and forkkv does not count it."
        for check in logged
    ]
