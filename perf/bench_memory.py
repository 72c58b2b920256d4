"""Memory per item against redis-server, by what the kernel charges each; and churn.

What counts is the growth of resident anonymous memory and shared memory, each page once, between
the empty server and the filled one, less the bytes of keys and values.
"""

import contextlib
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import forkkv
from forkkv.perf.bench import Comparison
from forkkv.perf.bench_process import free_port, redis_command, server

KEY_BYTES, VALUE_BYTES = 16, 32


def resident_bytes(pid: int) -> int:
    """Proportional set size: a page shared by n processes counts 1/n for each."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no Pss in smaps_rollup of {pid}")


def table_bytes(name: str) -> int:
    return Path(f"/dev/shm/forkkv.{name}").stat().st_blocks * 512


def fill_redis(port: int, items: int) -> None:
    lines = (f"SET k{i:015d} {'v' * VALUE_BYTES}\r\n" for i in range(items))
    subprocess.run(
        ["redis-cli", "-p", str(port), "--pipe"], input="".join(lines), text=True,
        stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip


def redis_overhead(items: int) -> float:
    port = free_port()
    with server(redis_command(port), port) as process:
        before = resident_bytes(process.pid)
        fill_redis(port, items)
        grown = resident_bytes(process.pid) - before
    return grown / items - KEY_BYTES - VALUE_BYTES


def forkkv_overhead(items: int) -> float:
    name = f"forkkv-bench-{os.getpid()}"
    table = forkkv.attach(name, create=True, memory=max(items * 128, 16 << 20))
    try:
        before = table_bytes(name)
        for i in range(items):
            table.set(b"k%015d" % i, b"v" * VALUE_BYTES)
        return (table_bytes(name) - before) / items - KEY_BYTES - VALUE_BYTES
    finally:
        table.close()
        forkkv.unlink(name)


def churned(items: int) -> float:
    """Bytes the kernel charges a table after ten rounds of overwriting with 50 B to 4 KiB."""
    name = f"forkkv-bench-{os.getpid()}"
    draw = random.Random(1)
    live = items * (KEY_BYTES + (50 + 4096) // 2)
    table = forkkv.attach(name, create=True, memory=int(live * 1.2))
    try:
        for _ in range(11 * items):
            key = b"k%015d" % draw.randrange(items)
            table.set(key, b"v" * draw.randrange(50, 4097))
        return table_bytes(name) / sum(KEY_BYTES + len(table[key]) for key in table)
    finally:
        table.close()
        forkkv.unlink(name)


@contextlib.contextmanager
def comparisons(quick: bool) -> Iterator[tuple[str, str, list[Comparison]]]:
    items = 50_000 if quick else 1_000_000
    yield f"memory: {items} items of {KEY_BYTES} + {VALUE_BYTES} bytes", "B", [
        Comparison("overhead per item", "redis-server", 0.3,
                   lambda: forkkv_overhead(items), lambda: redis_overhead(items)),
        Comparison("footprint after 10x overwrite", "live bytes", 1.25,
                   lambda: churned(items // 50), lambda: 1.0),
    ]  # fmt: skip
