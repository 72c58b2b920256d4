"""What a workload met: operations, errors, latencies and system calls, as lines or as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from hiredis import ReplyError

from .connection import Reply, SystemCalls
from .latency import Latency


@dataclass(frozen=True)
class Growth:
    """A counter before and after the run, and how many INCR of it this client had answered."""

    before: int
    after: int
    acknowledged: int

    @property
    def lost(self) -> int:
        """How many acknowledged INCR the counter does not show."""
        return max(0, self.acknowledged - (self.after - self.before))

    def __str__(self) -> str:
        extra = self.after - self.before - self.acknowledged
        verdict = "as many as acknowledged"
        if self.lost:
            verdict = f"{self.lost:,} acknowledged INCR are LOST"
        elif extra:
            verdict = f"{extra:,} more than acknowledged, by other clients or unanswered"
        return f"{self.before:,} to {self.after:,}: {verdict}"


@dataclass
class Result:
    """The counts of one run; `record` adds a step to them.

    `operations` were answered, `unanswered` were sent on a connection that broke, `unsent` were
    due by the rate but not begun in the time. `commands` counts all that were answered, those of
    the set-up too. `misses` are nil replies. `calls` are the system calls on the socket, by the
    client's own count; `kernel` those of the whole process in the same time, by the kernel's.
    """

    client: str
    workload: str
    operations: int = 0
    commands: int = 0
    misses: int = 0
    unanswered: int = 0
    unsent: int = 0
    reconnects: int = 0
    interrupted: bool = False
    failure: str | None = None
    elapsed_ns: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latency: Latency = field(default_factory=Latency)
    calls: SystemCalls = field(default_factory=SystemCalls)
    kernel: dict[str, int] = field(default_factory=dict)
    growth: Growth | None = None

    def record(self, replies: list[Reply], operations: int, duration_ns: int) -> None:
        """Add a step of `operations` that were answered after `duration_ns`."""
        self.operations += operations
        self.latency.record(duration_ns, operations)
        self.count_replies(replies)

    def count_replies(self, replies: list[Reply]) -> None:
        """Add commands by their replies, without an operation or a latency."""
        self.commands += len(replies)
        for reply in replies:
            if reply is None:
                self.misses += 1
            elif isinstance(reply, ReplyError):
                self.errors[str(reply).partition(" ")[0]] += 1

    @property
    def operations_per_second(self) -> float:
        """Answered operations over the elapsed time."""
        return self.operations * 1e9 / self.elapsed_ns if self.elapsed_ns else 0.0

    @property
    def exit_code(self) -> int:
        """1 when the run broke off or an acknowledged write is lost; 130 after Ctrl-C; else 0."""
        if self.failure or (self.growth and self.growth.lost):
            return 1
        return 130 if self.interrupted else 0

    def to_json(self) -> dict[str, object]:
        """Return the result for machines; times carry their unit in the name."""
        plain = ("client", "workload", "operations", "commands", "misses", "unanswered", "unsent")
        return {
            "schema": 1,
            **{name: getattr(self, name) for name in plain},
            "errors": dict(self.errors),
            "reconnects": self.reconnects,
            "elapsed_seconds": self.elapsed_ns / 1e9,
            "operations_per_second": self.operations_per_second,
            "latency_microseconds": self.latency.summary_us(),
            "syscalls": asdict(self.calls),
            "kernel_syscalls": self.kernel,
            "counter": self.growth and {**asdict(self.growth), "lost": self.growth.lost},
            "interrupted": self.interrupted,
            "failure": self.failure,
        }

    def to_text(self) -> str:
        """Return the result for people, a few lines."""
        return "\n".join(f"{name:<13} {value}".rstrip() for name, value in self._lines())

    def _lines(self) -> Iterator[tuple[str, str]]:
        seconds = self.elapsed_ns / 1e9
        yield "workload", f"{self.workload} by {self.client}{', interrupted' * self.interrupted}"
        yield (
            "operations",
            f"{self.operations:,} in {seconds:.3f} s, {self.operations_per_second:,.0f} a second",
        )
        yield "commands", f"{self.commands:,}, nil replies {self.misses:,}"
        yield "errors", counts_text(self.errors) or "none"
        if self.unanswered or self.reconnects:
            yield "connection", f"unanswered {self.unanswered:,}  reconnects {self.reconnects:,}"
        if self.unsent:
            yield "behind", f"{self.unsent:,} operations were due by the rate and not sent"
        yield "latency us", counts_text(self.latency.summary_us(), ",.1f")
        yield "system calls", f"{counts_text(asdict(self.calls))}  by its own count"
        if self.kernel:
            yield "", f"{counts_text(self.kernel)}  by the kernel's, for the process"
        if self.growth:
            yield "counter", str(self.growth)


def counts_text(counts: dict[str, int] | dict[str, float], form: str = ",") -> str:
    """Return counts on one line, each after its name, formatted by `form`."""
    return "  ".join(f"{name} {count:{form}}" for name, count in counts.items())
