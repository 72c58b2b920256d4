"""One process of a run: the counts that the kernel took of it, beside those that it took itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from forkkv.perf.parse import Count

UNKNOWN: Final = Count(None, "not counted")


@dataclass(frozen=True)
class OwnCount:
    """What a forkkv process counted itself, as bounds for what the kernel must have counted.

    Two readings are taken at each edge of the window, one outside of it and one inside.
    """

    least: int  # between the inner readings
    most: int  # between the outer readings; equal to `least` if nothing happened at the edges
    best: float  # at the window's own edges, by interpolation


@dataclass(frozen=True)
class Process:
    """One process of the run. `calls` and `failed` are by call name, `own` by counter name."""

    label: str
    role: str
    index: int
    pid: int | None
    source: str  # perf, bpftrace, strace, forkkv, or none
    note: str
    command: str
    calls: Mapping[str, Count]
    failed: Mapping[str, Count]
    total: Count
    cpu_seconds: Count
    own_calls: Mapping[str, OwnCount]
    own: Mapping[str, OwnCount]
    connections: int | None  # the most that were seen open at once
    usage: Mapping[str, float] = field(default_factory=dict)  # by the kernel: faults, switches, ...
    stopped: bool = False  # by a signal, when the window closed
    newcomer: bool = False  # whether it came during the window
    in_table: bool = True  # whether it has a table open, and so counts itself

    @property
    def is_client(self) -> bool:
        """Whether it asks, rather than serves."""
        return self.role == "client"
