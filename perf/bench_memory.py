"""Memory against redis-server and memcached, by what the kernel charges each: per item, and churn.

    python -m forkkv.perf.bench_memory [--quick]

prints the tables of docs/memory.md. `bench memory` has the same figures as ratios with limits.
Per item: how much a server grows between empty and filled, less the bytes of keys and values.
Churn: every key overwritten ten times in random order with values of mixed sizes, all servers at
one limit; what counts is the footprint over the bytes of the keys and values that are then there.
Memory does not depend on how busy the machine is, so each figure is measured once in a run.
"""

import contextlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial

import click

from forkkv.perf.bench import Comparison
from forkkv.perf.bench_stores import KINDS, MIB, Kind, Store

KEY_BYTES, VALUE_BYTES = 16, 32
LIMIT_MIB = 256  # more than a million items need
TTL_SECONDS = 100_000
FORKKV, REDIS, MEMCACHED = KINDS
TARGETS = {0: 24, TTL_SECONDS: 32}  # bytes per item
OTHERS_SHARE = 0.3  # of the overhead of the others
SMALL, LARGE = 50, 4096  # the values of the churn
OVERWRITES = 10
ROOMS = (1.2, 1.1)  # limit over live bytes
FOOTPRINT = 1.25


def _key(number: int) -> bytes:
    return b"k%0*d" % (KEY_BYTES - 1, number)


@dataclass(frozen=True)
class Filled:
    """What one server costs, in bytes: empty, and for each item; `whole` counts to the items what
    an empty table has reserved, too."""

    empty_bytes: int
    overhead: float
    whole: float


@cache
def fill(kind: Kind, items: int, ttl: int) -> Filled:
    """Stores `items` keys of 16 bytes with values of 32 in a server that has room for more."""
    with Store(kind, LIMIT_MIB) as store:
        prepaid = store.table_bytes()
        store.store(((_key(number), b"v" * VALUE_BYTES) for number in range(items)), ttl)
        grown = store.settled_bytes() - store.empty_bytes
        held = sum(map(bool, store.value_sizes(map(_key, range(items)))))
        if held != items:
            raise RuntimeError(f"{kind.name} holds {held} of {items} keys")
        overhead = grown / items - KEY_BYTES - VALUE_BYTES
        return Filled(store.empty_bytes, overhead, overhead + prepaid / items)


@dataclass(frozen=True)
class Churned:
    """What is left after the churn."""

    footprint: float  # over the bytes of the keys and values that are there
    held: float  # share of the keys
    refused: float  # share of the writes


@cache
def churn(kind: Kind, items: int, room: float) -> Churned:
    """Fills a server whose limit is `room` times the live bytes, then overwrites. The table counts
    whole, of processes the growth: an empty table is part of what a limit buys."""
    draw = random.Random(1)
    live = items * (KEY_BYTES + (SMALL + LARGE) // 2)
    order = list(range(items))
    with Store(kind, int(live * room) // MIB) as store:
        program = store.empty_bytes - store.table_bytes()
        for _ in range(1 + OVERWRITES):
            draw.shuffle(order)
            store.store((_key(number), b"v" * draw.randint(SMALL, LARGE)) for number in order)
        footprint = store.settled_bytes() - program
        sizes = [size for size in store.value_sizes(map(_key, range(items))) if size]
        held_bytes = sum(sizes) + KEY_BYTES * len(sizes)
        writes = items * (1 + OVERWRITES)
        return Churned(footprint / held_bytes, len(sizes) / items, store.refused / writes)


def _sizes(quick: bool) -> tuple[int, int]:
    """Items to fill with, and to churn."""
    return (50_000, 5_000) if quick else (1_000_000, 50_000)


@contextlib.contextmanager
def comparisons(quick: bool) -> Iterator[tuple[str, str, list[Comparison]]]:
    items, churned = _sizes(quick)

    def overhead(kind: Kind, ttl: int) -> float:
        return fill(kind, items, ttl).overhead

    def footprint(kind: Kind) -> float:
        return churn(kind, churned, ROOMS[0]).footprint

    rows = []
    for ttl, target in TARGETS.items():
        what, ours = "overhead per item" + ", expiring" * bool(ttl), partial(overhead, FORKKV, ttl)
        rows.append(Comparison(what, "one byte", target, ours, lambda: 1.0))
        rows += [
            Comparison(what, other.name, OTHERS_SHARE, ours, partial(overhead, other, ttl))
            for other in (REDIS, MEMCACHED)
        ]
    what, ours = "footprint after 10x overwrite", partial(footprint, FORKKV)
    rows.append(Comparison(what, "live bytes", FOOTPRINT, ours, lambda: 1.0))
    rows += [
        Comparison(what, other.name, None, ours, partial(footprint, other))
        for other in (REDIS, MEMCACHED)
    ]
    yield f"memory: {items} items of {KEY_BYTES} + {VALUE_BYTES} bytes", "B", rows


def _overhead_row(kind: Kind, items: int) -> list[str]:
    cells = [kind.name, f"{fill(kind, items, 0).empty_bytes / MIB:.1f} MiB"]
    for ttl in TARGETS:
        its, ours = fill(kind, items, ttl), fill(FORKKV, items, ttl)
        cells += [f"{its.overhead:.1f} B", f"{ours.overhead / its.overhead:.2f}"]
    return cells


def _churn_row(kind: Kind, items: int, room: float) -> list[str]:
    it = churn(kind, items, room)
    shares = [f"{share:.1%}" for share in (it.held, it.refused)]
    return [f"{room} x live", kind.name, f"{it.footprint:.2f}", *shares]


def _print_rows(*rows: Iterable[str]) -> None:
    for row in rows:
        click.echo(f"| {' | '.join(row)} |")


@click.command()
@click.option("--quick", is_flag=True, help="Fewer items, to see that it works.")
def main(quick: bool) -> None:
    """Print what forkkv, redis-server and memcached need, as Markdown tables."""
    items, churned = _sizes(quick)
    heads = ["server", "empty", "per item", "ours / its", "with expiry", "ours / its"]
    _print_rows(heads, ["---"] * len(heads))
    for kind in KINDS:
        _print_rows(_overhead_row(kind, items))
    plain, expiring = (fill(FORKKV, items, ttl).whole for ttl in TARGETS)
    click.echo(f"\nforkkv's table counted whole: {plain:.1f} B, with expiry {expiring:.1f} B\n")
    heads = ["limit", "server", "footprint / live", "keys held", "writes refused"]
    _print_rows(heads, ["---"] * len(heads))
    for room in ROOMS:
        for kind in KINDS:
            _print_rows(_churn_row(kind, churned, room))


if __name__ == "__main__":
    main()
