"""Miss ratios at equal memory: forkkv, redis-server and memcached as caches, and the textbook.

    python -m forkkv.perf.bench_eviction [--seed N] [--keys N] [--requests N] [--rate N]
        [--only WORKLOAD] [--plots FOLDER]

Look-aside: a batch of keys is asked for, and those that are missing are stored. Every cache gets
the same requests in the same batches, and the same limit: the one at which redis-server holds a
tenth of the keys. The first half of the requests only warms it.

No cache is asked faster than a given rate. redis-server's LRU clock ticks once a second: replayed
as fast as it goes, a trace is over after a few ticks, and its LRU is hardly better than chance.
"""

import math
import random
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
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
RATE: Final = 40_000  # requests per second; slower, down to a tenth, redis-server does no better
SHARES: Final = (0.05, 0.1, 0.2, 0.4)  # of the keys that redis-server holds
PLOTTED: Final = ("zipf 0.99", "zipf 0.99, 10 % scan")
OURS, THEIRS = "forkkv s3fifo", "redis allkeys-lru"
LIMITS: Final = {"zipf 0.99": 0.75, "zipf 0.99, 10 % scan": 0.78, "loop of 1.2 caches": 1.05}


@dataclass(frozen=True)
class Run:
    """What one cache made of one trace."""

    misses: float  # per request
    keys: int  # that it held in the end
    charged: int  # bytes, by the kernel, at the end


def replay(name: str, trace: Sequence[int], warm: int, limit: int, size: Size, rate: float) -> Run:
    """Asks for everything in turn, at most `rate` per second; what is missing is stored after each
    batch."""
    misses = 0
    with CACHES[name](limit, size) as cache:
        start = time.monotonic()
        for first in range(0, len(trace), BATCH):
            time.sleep(max(0.0, start + first / rate - time.monotonic()))
            missing = cache.ask(trace[first : first + BATCH])
            misses += len(missing) if first >= warm else 0
            if missing:
                cache.give(missing)
        return Run(misses / (len(trace) - warm), cache.keys(), cache.charged())


def replay_all(
    trace: Sequence[int], warm: int, limit: int, size: Size, rate: float
) -> dict[str, Run]:
    """All caches side by side: at such a rate each sleeps most of the time."""
    with ProcessPoolExecutor(len(CACHES)) as pool:
        runs = {name: pool.submit(replay, name, trace, warm, limit, size, rate) for name in CACHES}
        return {name: run.result() for name, run in runs.items()}


def run_all(
    workload: Workload, keys: int, requests: int, limit: int, rate: float
) -> dict[str, Run]:
    """All caches, and the simulators at as many items as redis-server held, and as forkkv did."""
    trace = workload.requests(keys, 2 * requests)
    runs = replay_all(trace, requests, limit, workload.value_bytes, rate)
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


def sweep(
    workload: Workload, keys: int, requests: int, rate: float
) -> dict[str, list[tuple[float, float]]]:
    """Miss ratio by limit: for each cache (MiB, misses) at several limits."""
    lines: dict[str, list[tuple[float, float]]] = {}
    trace = workload.requests(keys, 2 * requests)
    for share in SHARES:
        limit = limit_for(round(keys * share), workload.value_bytes)
        runs = replay_all(trace, requests, limit, workload.value_bytes, rate)
        misses = {name: run.misses for name, run in runs.items()}
        misses["LRU, as many items as redis"] = lru(trace, runs[THEIRS].keys, requests)
        misses["S3-FIFO, as many as forkkv"] = s3fifo(trace, runs[OURS].keys, requests)
        for name, miss in misses.items():
            lines.setdefault(name, []).append((limit / MIB, miss))
    return lines


@click.command()
@click.option("--seed", type=int, help="Of the requests; drawn and printed if not given.")
@click.option("--keys", default=400_000, show_default=True)
@click.option("--requests", default=1_500_000, show_default=True, help="Counted; as many warm.")
@click.option("--rate", default=RATE, show_default=True, help="Requests per second, at most.")
@click.option("--only", help="One workload, by its name, instead of all.")
@click.option("--plots", type=click.Path(path_type=Path), help="Folder for the PNG files.")
def main(
    seed: int | None, keys: int, requests: int, rate: int, only: str | None, plots: Path | None
) -> None:
    """Compare miss ratios at equal memory."""
    seed = random.randrange(1 << 32) if seed is None else seed
    console = Console(width=100)
    console.print(f"seed {seed}; {keys} keys; {requests} requests counted after as many to warm")
    console.print(f"at most {rate} requests per second, in batches of {BATCH}")
    tenth = limit_for(keys // 10, same_size)
    held = replay(OURS, range(keys), 0, tenth, same_size, math.inf).keys
    chosen = [each for each in workloads(seed, round(held * 1.2)) if only in (None, each.name)]
    if not chosen:
        raise click.BadParameter(f"no workload is named {only!r}", param_hint="--only")
    missed = 0
    for workload in chosen:
        limit = limit_for(keys // 10, workload.value_bytes)
        runs = run_all(workload, keys, requests, limit, rate)
        missed += not show(console, workload, runs, limit)
    if plots is not None:
        from forkkv.perf.plot_eviction import plot  # wants matplotlib

        for workload in (each for each in chosen if each.name in PLOTTED):
            lines = sweep(workload, keys, requests, rate)
            console.print(f"{plot(workload.name, keys, lines, plots)}")
    if missed:
        raise SystemExit(f"{missed} of the targets were missed")


if __name__ == "__main__":
    main()
