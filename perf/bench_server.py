"""The network door against redis-server: CPU per operation of the server's processes.

redis-benchmark drives both, so operations per second would measure the driver; what the kernel
charges the server for the same number of operations does not depend on it. The servers are pinned
to one CPU and the driver to another where there are two.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator

from forkkv.perf.bench import Comparison, Measure
from forkkv.perf.bench_process import (
    cpu_ns,
    forkkv_command,
    free_port,
    pin,
    redis_command,
    server,
)

KEYS = 100_000
CLIENTS = 50
LIMITS = {("GET", 1): 0.9, ("GET", 16): 0.5, ("SET", 1): 0.95, ("SET", 16): 0.65}


def drive(port: int, command: str, pipeline: int, operations: int) -> None:
    words = {"GET": ["GET", "key:__rand_int__"], "SET": ["SET", "key:__rand_int__", "x" * 100]}
    subprocess.run(
        [
            "redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c", str(CLIENTS),
            "-P", str(pipeline), "-n", str(operations), "-r", str(KEYS), "-q", *words[command],
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}),
    )  # fmt: skip


def cost(pid: int, port: int, command: str, pipeline: int, operations: int) -> Measure:
    """Microseconds of server CPU for one operation."""

    def measure() -> float:
        before = cpu_ns(pid)
        drive(port, command, pipeline, operations)
        return (cpu_ns(pid) - before) / operations / 1000

    return measure


@contextlib.contextmanager
def comparisons(quick: bool) -> Iterator[tuple[str, str, list[Comparison]]]:
    operations = 20_000 if quick else 200_000
    ours, theirs = free_port(), free_port()
    name = f"forkkv-bench-{os.getpid()}"
    cpus = {min(os.sched_getaffinity(0))}
    with (
        server(forkkv_command(ours, name, 1, "256mb"), ours) as forkkv,
        server(redis_command(theirs), theirs) as redis,
    ):
        pin(forkkv.pid, cpus)
        pin(redis.pid, cpus)
        for port in (ours, theirs):
            drive(port, "SET", 16, 5 * KEYS)
        rows = [
            Comparison(
                f"server CPU per {command}, pipeline {pipeline}", "redis-server",
                LIMITS[command, pipeline],
                cost(forkkv.pid, ours, command, pipeline, operations * (4 if pipeline > 1 else 1)),
                cost(redis.pid, theirs, command, pipeline, operations * (4 if pipeline > 1 else 1)),
            )
            for command in ("GET", "SET")
            for pipeline in (1, 16)
        ]  # fmt: skip
        yield f"network door: {CLIENTS} clients over TCP, one worker, 100-byte values", "us", rows
