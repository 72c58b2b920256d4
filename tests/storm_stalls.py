"""How long the operations of a storm took, and who was killed just before the longest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from linear import Operation

QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
LONGEST = 3  # shown one by one


@dataclass(frozen=True)
class Kill:
    """One SIGKILL that was sent."""

    at: int  # CLOCK_MONOTONIC, nanoseconds
    place: str


def took_ms(operation: Operation) -> float:
    """How long an operation that returned took."""
    return ((operation.end or operation.call) - operation.call) / 1e6


def describe_stalls(door: str, operations: Sequence[Operation], kills: Sequence[Kill]) -> str:
    """A line of quantiles, and one line for each of the longest operations."""
    by_time = sorted((each for each in operations if each.end is not None), key=took_ms)
    if not by_time:
        return f"{door}: no operation returned"
    quantiles = [
        f"{name} {took_ms(by_time[int(part * (len(by_time) - 1))]):.3f}"
        for name, part in QUANTILES.items()
    ]
    line = f"{door}: {len(by_time)} operations, ms: {', '.join(quantiles)}, "
    line += f"max {took_ms(by_time[-1]):.3f}"
    longest = by_time[: -LONGEST - 1 : -1]
    return "\n".join([line, *(f"  {text}" for text in _describe_each(longest, kills))])


def _describe_each(operations: Sequence[Operation], kills: Sequence[Kill]) -> Iterator[str]:
    for each in operations:
        end = each.end or each.call
        before = [kill for kill in kills if kill.at <= end]
        after = "before any kill"
        if before:
            last = before[-1]
            after = f"began {(each.call - last.at) / 1e6:+.1f} ms after the kill of {last.place}"
        yield f"{took_ms(each):.3f} ms: {each.name} by {each.process}, {after}"
