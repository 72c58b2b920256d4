"""How long the operations of a storm took; whom a kill or a busy machine held up longest.

On each processor a process only sleeps. How late it wakes up is the least that others may have had
to wait for a processor just then; who computes waits longer than who slept. So what took little
longer is the machine's doing, and the rest is worth a look.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from linear import Operation

QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
LONGEST = 3  # shown one by one
SLOW_MS = 50.0
BEFORE_NS = 20_000_000  # a kill so long before an operation may have to do with it
NAP_SECONDS = 0.005


@dataclass(frozen=True)
class Kill:
    """One SIGKILL that was sent."""

    at: int  # CLOCK_MONOTONIC, nanoseconds
    place: str


def took_ms(operation: Operation) -> float:
    """How long an operation took; 0 if it never returned."""
    return ((operation.end or operation.call) - operation.call) / 1e6


def lateness_ms(nap: Operation) -> float:
    """How late a sleeper woke up."""
    return took_ms(nap) - NAP_SECONDS * 1e3


class Stalls:
    """Describes operations beside the kills and the sleepers of their storm."""

    def __init__(self, kills: Sequence[Kill], naps: Sequence[Operation]) -> None:
        self.kills = kills
        self.late = [(nap, late) for nap in naps if (late := lateness_ms(nap)) > 1]

    def describe(self, role: str, operations: Sequence[Operation]) -> str:
        """A line of quantiles, one of slow operations, one for each of the longest."""
        times = sorted(took_ms(each) for each in operations if each.end is not None) or [0.0]
        quantiles = [f"{q} {times[int(p * (len(times) - 1))]:.3f}" for q, p in QUANTILES.items()]
        line = f"{role}: {len(times)} operations, ms: {', '.join(quantiles)}, max {times[-1]:.3f}"
        slow = [each for each in operations if took_ms(each) > SLOW_MS]
        unexplained = [each for each in slow if self.wait_ms(each) < took_ms(each) / 2]
        line += f"; {len(slow)} above {SLOW_MS:.0f} ms, {len(unexplained)} unlike the sleepers"
        longest = sorted(operations, key=took_ms, reverse=True)[:LONGEST]
        return "\n  ".join([line, *map(self.describe_one, longest)])

    def describe_one(self, operation: Operation) -> str:
        """How long it took, who was killed meanwhile or just before, and how late sleepers woke."""
        near = [
            f"{kill.place} ({(kill.at - operation.call) / 1e6:+.1f} ms)"
            for kill in self.kills
            if operation.call - BEFORE_NS < kill.at < (operation.end or 0)
        ]
        return (
            f"{took_ms(operation):.3f} ms: {operation.name} by {operation.process}; "
            f"killed: {', '.join(near) or 'nobody'}; "
            f"sleepers woke {self.wait_ms(operation):.1f} ms late"
        )

    def wait_ms(self, operation: Operation) -> float:
        """How late somebody woke up who had slept during the operation."""
        beside = [
            late
            for nap, late in self.late
            if (nap.end or 0) > operation.call and nap.call < (operation.end or 0)
        ]
        return max(beside, default=0.0)
