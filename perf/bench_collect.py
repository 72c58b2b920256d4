"""What collecting costs: a server that is counted against itself when nobody counts it.

redis-benchmark drives it; each round drives it once with a collection and once without.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from forkkv.perf.bench import Comparison, Measure
from forkkv.perf.bench_process import cpu_ns, forkkv_command, free_port, pin, server
from forkkv.perf.bench_server import drive
from forkkv.perf.probe import Refusal, probe

DEADLINE = 30.0  # seconds in which a collection must have started, and ended
SLOWED = {"strace": 20}  # so many times fewer operations, or it takes for ever


@contextlib.contextmanager
def collecting(name: str, source: str) -> Iterator[None]:
    """Counts the table's server by `source` for the length of the block."""
    folder = Path(tempfile.mkdtemp(prefix="forkkv-bench-"))
    words = [sys.executable, "-m", "forkkv", "collect", "--name", name, "--source", source]
    log = folder / "log"
    with log.open("wb") as file:
        child = subprocess.Popen([*words, "--out", str(folder / "run")], stderr=file)
    try:
        end = time.monotonic() + DEADLINE
        while "Ctrl-C" not in log.read_text():
            if child.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{source} does not count: {log.read_text()}")
            time.sleep(0.01)
        yield
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(DEADLINE)
        shutil.rmtree(folder)


def seconds(port: int, pid: int, pipeline: int, operations: int) -> float:
    """Wall time of one operation, as its client sees it."""
    begun = time.monotonic()
    drive(port, "GET", pipeline, operations)
    return (time.monotonic() - begun) / operations * 1e6


def cpu(port: int, pid: int, pipeline: int, operations: int) -> float:
    """CPU time of the server for one operation."""
    before = cpu_ns(pid)
    drive(port, "GET", pipeline, operations)
    return (cpu_ns(pid) - before) / operations / 1000


Cost = Callable[[int, int, int, int], float]


def measures(cost: Cost, name: str, source: str, *load: int) -> tuple[Measure, Measure]:
    """The cost with a collection, and without."""

    def counted() -> float:
        with collecting(name, source):
            return cost(*load)

    return counted, lambda: cost(*load)


def sources() -> list[str]:
    """Those that work here."""
    found = [] if isinstance(probe(os.getpid()), Refusal) else ["perf"]
    return found + [name for name in ("bpftrace", "strace") if shutil.which(name)]


@contextlib.contextmanager
def comparisons(quick: bool) -> Iterator[tuple[str, str, list[Comparison]]]:
    operations, port = 10_000 if quick else 100_000, free_port()
    name = f"forkkv-bench-{os.getpid()}"
    with server(forkkv_command(port, name, 1, "64mb"), port) as forkkv:
        pin(forkkv.pid, {min(os.sched_getaffinity(0))})
        drive(port, "SET", 16, operations)
        rows = [
            Comparison(
                f"{what} per GET, pipeline {pipeline}, {source}", "nobody counts", None,
                *measures(cost, name, source, port, forkkv.pid, pipeline,
                          operations * (4 if pipeline > 1 else 1) // SLOWED.get(source, 1)),
            )
            for source in sources()
            for pipeline in (1, 16)
            for what, cost in (("CPU", cpu), ("time", seconds))
        ]  # fmt: skip
        yield "collecting: 50 clients over TCP, one worker, 100-byte values", "us", rows
