"""Miss ratios at equal memory: forkkv, redis-server and memcached as caches, and the textbook.

    python -m forkkv.perf.bench_eviction [--seed N] [--keys N] [--requests N] [--plots FOLDER]

Look-aside: a batch of keys is asked for, and those that are missing are stored. Every cache gets
the same requests in the same batches, and the same limit: the one at which redis-server holds a
tenth of the keys. The first half of the requests only warms it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table as Grid

from forkkv.perf.bench_caches import CACHES, MIB, Size, limit_for
from forkkv.perf.simulators import lru, s3fifo
from forkkv.perf.traces import Workload, same_size, workloads

BATCH: Final = 32
SHARES: Final = (0.05, 0.1, 0.2, 0.4)  # of the keys that redis-server holds
OURS, THEIRS = "forkkv s3fifo", "redis allkeys-lru"
LIMITS: Final = {"zipf 0.99": 0.75, "zipf 0.99, 10 % scan": 0.78, "loop of 1.2 caches": 1.05}


@dataclass(frozen=True)
class Run:
    """What one cache made of one trace."""

    misses: float  # per request
    keys: int  # that it held in the end
    charged: int  # bytes, by the kernel, at the end


def replay(name: str, trace: Sequence[int], warm: int, limit: int, size: Size) -> Run:
    """Asks for everything in turn; what is missing is stored after each batch."""
    misses = 0
    with CACHES[name](limit, size) as cache:
        for first in range(0, len(trace), BATCH):
            missing = cache.ask(trace[first : first + BATCH])
            misses += len(missing) if first >= warm else 0
            if missing:
                cache.give(missing)
        return Run(misses / (len(trace) - warm), cache.keys(), cache.charged())


def run_all(workload: Workload, keys: int, requests: int, limit: int) -> dict[str, Run]:
    """All caches, and the simulators at as many items as redis-server held, and as forkkv did."""
    trace = workload.requests(keys, 2 * requests)
    runs = {name: replay(name, trace, requests, limit, workload.value_bytes) for name in CACHES}
    for items in (runs[THEIRS].keys, runs[OURS].keys):
        for label, simulate in (("LRU", lru), ("S3-FIFO", s3fifo)):
            runs[f"{label}, {items} items"] = Run(simulate(trace, items, requests), items, 0)
    return runs


def show(console: Console, workload: Workload, runs: dict[str, Run], limit: int) -> bool:
    """Prints one workload; whether its target, if it has one, was met."""
    theirs = runs[THEIRS].misses
    most = LIMITS.get(workload.name)
    title = f"{workload.name}, at {limit / MIB:.1f} MiB"
    grid = Grid(title=title, title_justify="left")
    for column in ("cache", "misses", f"of {THEIRS}'s", "keys", "kernel charges"):
        grid.add_column(column, no_wrap=True)
    for name, run in runs.items():
        charged = f"{run.charged / MIB:.1f} MiB" if run.charged else ""
        grid.add_row(
            name, f"{run.misses:.2%}", f"{run.misses / theirs:.2f}", str(run.keys), charged
        )
    console.print(grid)
    ratio = runs[OURS].misses / theirs
    if most is not None:
        verdict = "ok" if ratio <= most else "MISSED"
        console.print(f"{OURS} / {THEIRS}: {ratio:.3f}, at most {most}: {verdict}\n")
    return most is None or ratio <= most


def sweep(workload: Workload, keys: int, requests: int) -> dict[str, list[tuple[float, float]]]:
    """Miss ratio by limit: for each cache (MiB, misses) at several limits."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for share in SHARES:
        limit = limit_for(round(keys * share), workload.value_bytes)
        trace = workload.requests(keys, 2 * requests)
        for name in CACHES:
            run = replay(name, trace, requests, limit, workload.value_bytes)
            lines.setdefault(name, []).append((limit / MIB, run.misses))
        held = round(keys * share)
        lines.setdefault("LRU, as many items as redis", []).append(
            (limit / MIB, lru(trace, held, requests))
        )
    return lines


@click.command()
@click.option("--seed", type=int, help="Of the requests; drawn and printed if not given.")
@click.option("--keys", default=400_000, show_default=True)
@click.option("--requests", default=1_500_000, show_default=True, help="Counted; as many warm.")
@click.option("--plots", type=click.Path(path_type=Path), help="Folder for the PNG files.")
def main(seed: int | None, keys: int, requests: int, plots: Path | None) -> None:
    """Compare miss ratios at equal memory."""
    seed = random.randrange(1 << 32) if seed is None else seed
    console = Console(width=100)
    console.print(f"seed {seed}; {keys} keys; {requests} requests counted after as many to warm")
    missed = 0
    tenth = limit_for(keys // 10, same_size)
    held = replay(OURS, range(keys), 0, tenth, same_size).keys
    for workload in workloads(seed, round(held * 1.2)):
        limit = limit_for(keys // 10, workload.value_bytes)
        missed += not show(console, workload, run_all(workload, keys, requests, limit), limit)
    if plots is not None:
        from forkkv.perf.plot_eviction import plot  # wants matplotlib

        for workload in list(workloads(seed, 0))[:2]:
            console.print(f"{plot(workload.name, sweep(workload, keys, requests), plots)}")
    if missed:
        raise SystemExit(f"{missed} of the targets were missed")


if __name__ == "__main__":
    main()
