"""A large table of small items: filled, read, iterated and checked; and py-lmdb's reads beside it.

    python -m forkkv.perf.bench_big [--items N] [--memory SIZE] [--rounds N] [--no-lmdb]

What a partition's doubling costs shows in the longest single store. It is told as time on a CPU:
what else a shared machine does meanwhile does not show.
"""

import heapq
import math
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import click

import forkkv
from forkkv.perf.traces import key_of
from forkkv.sizes import format_size, parse_size

VALUE: Final = bytes(range(40))
WINDOW: Final = 1_000_000  # stores between two looks at how many partitions have doubled
LONGEST: Final = 5
ASKED: Final = 200_000  # keys per round of reads
LMDB_SPACE: Final = 160  # bytes of file per item, to be on the safe side
Pauses = list[tuple[int, int]]  # (ns, after how many), the longest first


def timed(operation: Callable[[bytes], object], keys: Iterator[bytes]) -> Pauses:
    """Runs the operation on each key; the longest single ones, in CPU time."""
    clock = time.thread_time_ns
    longest: Pauses = []
    least, before = 0, clock()
    for number, key in enumerate(keys):
        operation(key)
        now = clock()
        if now - before > least:
            heapq.heappush(longest, (now - before, number))
            if len(longest) > LONGEST:
                heapq.heappop(longest)
                least = longest[0][0]
        before = clock()
    return sorted(longest, reverse=True)


def fill(table: forkkv.Table, items: int) -> None:
    """Stores all items one by one, and says how the index grew meanwhile."""

    def store(key: bytes) -> None:
        table.set(key, VALUE)

    growths: list[int] = []
    longest: Pauses = []
    began = time.monotonic()
    for first in range(0, items, WINDOW):
        last = min(first + WINDOW, items)
        pauses = timed(store, map(key_of, range(first, last)))
        longest += [(ns, first + number) for ns, number in pauses]
        growths.append(own_count(table, "growths"))
    seconds = time.monotonic() - began
    print(f"filled at {items / seconds / 1e6:.2f} M/s; longest stores {of(longest)}")
    tell_growths(growths, table.facts()["partitions"])


def tell_growths(growths: list[int], partitions: int) -> None:
    """How evenly partitions double: over each growth of the keys by about a tenth, the part of them
    that doubled, in units of what it is when it is the same at any number of keys."""
    shares = []
    for last in range(10, len(growths)):
        first = last * 10 // 11
        octaves = math.log2((last + 1) / (first + 1))
        shares.append((growths[last] - growths[first]) / partitions / octaves)
    if shares:
        print(
            "partitions that doubled with each tenth more keys, in units of an even share: "
            f"{min(shares):.2f} to {max(shares):.2f}"
        )


def own_count(table: forkkv.Table, counter: str) -> int:
    (count,) = (each["counts"][counter] for each in table.participants() if each["own"])
    return count


def of(longest: Pauses) -> str:
    """The longest few, in milliseconds, and after how many operations each."""
    top = sorted(longest, reverse=True)[:LONGEST]
    return ", ".join(f"{ns / 1e6:.2f} ms (after {number})" for ns, number in top)


def read(table: forkkv.Table, items: int) -> None:
    asked = random.Random(1).sample(range(items), min(items, 5 * ASKED))
    pauses = timed(table.get, map(key_of, asked))
    print(f"longest of {len(asked)} reads: {of(pauses)}")


def walk(table: forkkv.Table, items: int) -> None:
    """Iterates over all keys, then checks everything."""
    began = time.monotonic()
    met = sum(1 for _ in table)
    seconds = time.monotonic() - began
    print(f"iterated over {met} keys ({items} stored) at {met / seconds / 1e6:.2f} M/s")
    began = time.monotonic()
    fault = table.check()
    print(f"check: {fault or 'clean'}, at {items / (time.monotonic() - began) / 1e6:.2f} M keys/s")


def tell(table: forkkv.Table, items: int) -> None:
    facts = table.facts()
    used = facts["memory_used_bytes"]
    each = (facts["live_bytes"] + facts["index_bytes"]) / items - 16 - len(VALUE)
    limit = format_size(facts["memory_limit_bytes"])
    print(
        f"{facts['keys']} keys in {format_size(used)} of {limit}; "
        f"overhead {each:.1f} B per item, {used / items - 16 - len(VALUE):.1f} B with all that the "
        "table takes"
    )


def get_all(get: Callable[[bytes], object], keys: Sequence[bytes]) -> float:
    began = time.perf_counter()
    for key in keys:
        get(key)
    return time.perf_counter() - began


def beside_lmdb(table: forkkv.Table, items: int, rounds: int, folder: Path) -> None:
    """Random reads of both, in turn; every round asks for other keys."""
    import lmdb  # of the bench extra

    environment = lmdb.open(
        str(folder), map_size=items * LMDB_SPACE, sync=False, metasync=False, writemap=True
    )
    print("filling py-lmdb, in the order of its keys")
    numbers = sorted(range(items), key=key_of)
    for first in range(0, items, WINDOW):
        with environment.begin(write=True) as transaction:
            pairs = ((key_of(number), VALUE) for number in numbers[first : first + WINDOW])
            transaction.cursor().putmulti(pairs, append=True)
    del numbers
    draw = random.Random(2)
    ratios = []
    with environment.begin() as transaction:
        for _ in range(rounds + 1):
            keys = [key_of(draw.randrange(items)) for _ in range(ASKED)]
            ratios.append(get_all(table.get, keys) / get_all(transaction.get, keys))
    counted = ratios[1:]  # the first one warms both
    print(
        f"get / py-lmdb get in an open transaction: {statistics.median(counted):.2f} "
        f"({min(counted):.2f} .. {max(counted):.2f})"
    )
    environment.close()


@click.command()
@click.option("--items", default=50_000_000, show_default=True)
@click.option("--memory", default="6gb", show_default=True)
@click.option("--rounds", default=7, show_default=True, help="Of reads beside py-lmdb.")
@click.option("--lmdb/--no-lmdb", "beside", default=True, help="Compare reads with py-lmdb.")
def main(items: int, memory: str, rounds: int, beside: bool) -> None:
    """Fill a large table and see how it does."""
    name = f"forkkv-big-{os.getpid()}"
    folder = Path(tempfile.mkdtemp(prefix=name, dir="/dev/shm"))
    try:
        with forkkv.attach(name, create=True, memory=parse_size(memory)) as table:
            fill(table, items)
            tell(table, items)
            read(table, items)
            walk(table, items)
            if beside:
                beside_lmdb(table, items, rounds, folder)
    finally:
        forkkv.unlink(name)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
