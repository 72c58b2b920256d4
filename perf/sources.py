"""Who counts, in order of preference: perf, bpftrace, forkkv itself; strace only when asked for.

Each source has its cost, which every report repeats.
"""

import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from forkkv.perf import bpftrace, events, probe
from forkkv.perf.bpftrace import Bpftrace
from forkkv.perf.child import Child
from forkkv.perf.perf_stat import PerfStat
from forkkv.perf.strace import Strace
from forkkv.perf.targets import Target

NAMES: Final = ("auto", "perf", "bpftrace", "forkkv", "strace")
COST: Final = {
    "perf": "counts exact; CPU times too high, some 1.2 x",
    "bpftrace": "counts exact; every system call of the host costs a little more",
    "forkkv": "exact for the calls that forkkv counts, and free: it counts them always",
    "strace": "counts exact; rates and CPU times wrong, by several times",
}
HIDDEN: Final = probe.Refusal(
    probe.PERF_NOT_PERMITTED,
    "all the processes are in another PID namespace",
    "collect on the host, or in a container that is started with --pid=host",
)


class Source(Protocol):
    """What a collection asks of whoever counts. `exits` and `ended_at` (epoch) are by label."""

    name: str
    from_birth: bool  # whether a process that comes later was counted before it was found
    exits: dict[str, int]
    ended_at: dict[str, float]

    def attach(self, targets: Iterable[Target]) -> None:
        """Gets ready to count these; nothing is counted before `enable`, where that is possible."""

    def ready(self, label: str) -> bool:
        """Whether `enable` would not have to wait for this one."""

    def start_client(self, label: str, words: Sequence[str]) -> Child:
        """Starts a client and counts it from its first call on."""

    def enable(self, labels: Iterable[str]) -> None:
        """Starts to count these."""

    def tick(self) -> None:
        """An interval of the time line is over."""

    def disable(self) -> None:
        """Stops counting all of them."""

    def finish(self) -> None:
        """Ends what was started; counts are in `files` then. Harmless twice."""

    def files(self) -> dict[str, Path]:
        """Where the counts of each label are."""

    def said(self, label: str) -> str:
        """What the counting program printed about this one."""


class OwnCounters:
    """forkkv's own counters, which the readings hold already: there is nothing to start."""

    name = "forkkv"
    from_birth = True

    def __init__(self, out: Path) -> None:
        self.out = out
        self.clients: dict[str, Child] = {}
        self.exits: dict[str, int] = {}
        self.ended_at: dict[str, float] = {}

    def attach(self, targets: Iterable[Target]) -> None:
        """Every process counts itself."""

    def ready(self, label: str) -> bool:
        """Every process counts itself."""
        return True

    def start_client(self, label: str, words: Sequence[str]) -> Child:
        """Starts a client, which nobody counts."""
        self.clients[label] = Child(words, self.out / f"{label}.log")
        return self.clients[label]

    def enable(self, labels: Iterable[str]) -> None:
        """They count always."""

    def tick(self) -> None:
        """The readings have it."""

    def disable(self) -> None:
        """They count always."""

    def finish(self) -> None:
        """Ends the clients."""
        for label, client in self.clients.items():
            self.exits.setdefault(label, client.end())

    def files(self) -> dict[str, Path]:
        """The counts are in the readings."""
        return {}

    def said(self, label: str) -> str:
        """Nothing."""
        return ""


@dataclass
class Choice:
    """Who counts, and what is to be known about it."""

    source: Source
    version: str | None = None
    aligned: bool = True  # all counters start and stop together
    missing: frozenset[str] = frozenset()
    problem: str = ""  # why a better source was not taken
    remedy: str = ""
    code: int = 0  # collect.sh's exit code where only that better source would do
    refused: list[str] = field(default_factory=list)  # the sources that were tried in vain


def choose(wanted: str, out: Path, scratch: Path, pid: int, interval: float) -> Choice:
    """Takes the source that was asked for, or the first that works here.

    `pid` is a process to try on (0: none is seen from here), `interval` the seconds of the time
    line (0: none). Unless "auto" was wanted, a choice with a `code` cannot be used.
    """
    if wanted == "forkkv":
        return Choice(OwnCounters(out))
    if wanted == "strace":
        return _strace(out, scratch)
    if wanted == "bpftrace":
        return _bpftrace(out, scratch, interval)
    choice = _perf(out, scratch, pid, interval)
    if wanted == "perf" or not choice.code:
        return choice
    second = _bpftrace(out, scratch, interval)
    counted_by = second if not second.code else Choice(OwnCounters(out))
    counted_by.problem, counted_by.remedy = choice.problem, choice.remedy
    counted_by.code = choice.code
    counted_by.refused = ["perf", *([] if not second.code else ["bpftrace"])]
    return counted_by


def _perf(out: Path, scratch: Path, pid: int, interval: float) -> Choice:
    found = probe.probe(pid) if pid else HIDDEN
    if isinstance(found, probe.Refusal):
        said = {"problem": found.problem, "remedy": found.remedy, "code": found.code}
        return Choice(OwnCounters(out), refused=["perf"], **said)  # type: ignore[arg-type]
    missing = found.missing

    def events_of(target: Target | None) -> list[str]:
        """Of a process of forkkv's server only what it makes, or counting costs twice as much."""
        known = target is not None and target.table_pid is not None
        calls = events.OF_ROLE.get(target.role, events.CALLS) if target and known else events.CALLS
        return events.arguments(missing, calls)

    source = PerfStat(out, scratch, events_of, found.aligned, interval)
    return Choice(source, found.version, found.aligned, found.missing)


def _bpftrace(out: Path, scratch: Path, interval: float) -> Choice:
    missing, problem = bpftrace.probe()
    if problem:
        remedy = "run as root, with debugfs mounted: sudo mount -t debugfs nodev /sys/kernel/debug"
        code = probe.PERF_NOT_PERMITTED if shutil.which("bpftrace") else probe.PERF_MISSING
        return Choice(OwnCounters(out), problem=problem, remedy=remedy, code=code)
    return Choice(Bpftrace(out, scratch, missing, interval), missing=missing)


def _strace(out: Path, scratch: Path) -> Choice:
    if shutil.which("strace") is None:
        return Choice(OwnCounters(out), problem="strace is not installed",
                      remedy="install the package strace", code=probe.PERF_MISSING)  # fmt: skip
    print("Warning: strace slows each process several times while it counts.", file=sys.stderr)
    return Choice(Strace(out, scratch), aligned=False)
