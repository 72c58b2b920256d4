"""Values of 1 to 16 MiB among small ones, in a table that they nearly fill: none is refused.

    python tests/big_values.py [--seconds N] [--processes N] [--memory 64mb] [--seed N]

Every process sets, overwrites, reads and deletes keys of its own. Four fifths of the memory live at
most, and old and new value together never take more than the table's rule for new values allows. So
each write must be taken, however scattered what is free may be. All that is read must be what was
stored last, and the table must pass its checker in the end.
"""

import multiprocessing
import os
import random
import secrets
import sys
import time
import zlib
from dataclasses import dataclass
from typing import Final

import click

import forkkv
from forkkv.sizes import parse_size

MIB: Final = 1 << 20
LARGE_MIN, LARGE_MAX = MIB, 16 * MIB
SMALL: Final = (20, 200, 2_000, 20_000)
LARGE_SHARE: Final = 0.2  # of the sets
KEYS: Final = 3_000
ITEM: Final = 64  # bytes: at most what an item takes beside its value
MARGIN: Final = 16  # segments per process: unwritten ends, growth of the index
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Stored:
    """What the model knows of a value."""

    size: int
    checksum: int
    takes: int  # bytes of the table: whole segments if it needs more than one


@dataclass
class Tally:
    operations: int = 0
    large: int = 0
    longest_seconds: float = 0.0  # single set


class Torturer:
    """One process's share: its keys, and how much of the memory they may take."""

    def __init__(self, table: forkkv.Table, seed: int, processes: int = 1) -> None:
        facts = table.facts()
        self.table, self.segment = table, facts["segment_bytes"]
        spare = facts["free_bytes"] - facts["reserve_bytes"]
        self.rule = spare * 15 // 16 // processes - MARGIN * self.segment
        self.most = facts["memory_limit_bytes"] * 4 // 5 // processes
        self.draw = random.Random(seed)
        self.bytes = self.draw.randbytes(LARGE_MAX + MIB)
        self.prefix = f"{seed}-".encode()
        self.stored: dict[bytes, Stored] = {}
        self.live = 0
        self.tally = Tally()

    def run(self, operations: int) -> None:
        moves = [self.set] * 7 + [self.get] * 2 + [self.delete]
        for _ in range(operations):
            self.draw.choice(moves)()
        self.tally.operations += operations

    def takes(self, size: int) -> int:
        segments = -(-(size + ITEM) // self.segment)
        return segments * self.segment if segments > 1 else size + ITEM

    def set(self) -> None:
        large = self.draw.random() < LARGE_SHARE
        key = self.prefix + (b"L%d" if large else b"s%d") % self.draw.randrange(KEYS)
        size = self.draw.choice(SMALL)
        if large:  # as many of each order of magnitude
            size = int(LARGE_MIN * (LARGE_MAX / LARGE_MIN) ** self.draw.random())
        old, takes = self.stored.get(key), self.takes(size)
        old_takes = old.takes if old else 0
        while self.live + takes > self.rule or self.live - old_takes + takes > self.most:
            self.drop(self.any_key(b"L") or self.any_key(b"s"))
            old_takes = self.stored[key].takes if key in self.stored else 0
        first = self.draw.randrange(MIB)
        value = memoryview(self.bytes)[first : first + size]
        began = time.perf_counter()
        self.table.set(key, value)
        self.tally.longest_seconds = max(self.tally.longest_seconds, time.perf_counter() - began)
        self.tally.large += large
        self.live += takes - old_takes
        self.stored[key] = Stored(size, zlib.crc32(value), takes)

    def any_key(self, kind: bytes) -> bytes:
        keys = [key for key in self.stored if key.startswith(self.prefix + kind)]
        return self.draw.choice(keys) if keys else b""

    def get(self) -> None:
        if key := self.any_key(self.draw.choice((b"L", b"s"))):
            self.expect(key)

    def delete(self) -> None:
        if key := self.any_key(self.draw.choice((b"L", b"s"))):
            self.drop(key)

    def drop(self, key: bytes) -> None:
        assert self.table.delete(key)
        self.live -= self.stored.pop(key).takes

    def expect(self, key: bytes) -> None:
        value, stored = self.table.get(key), self.stored[key]
        assert value is not None, f"{key!r} is lost"
        assert (len(value), zlib.crc32(value)) == (stored.size, stored.checksum), f"{key!r} is torn"

    def expect_all(self) -> None:
        for key in self.stored:
            self.expect(key)


def torture(name: str, seed: int, processes: int, seconds: float) -> None:
    """One process of the long form."""
    with forkkv.attach(name) as table:
        torturer = Torturer(table, seed, processes)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            torturer.run(100)
        torturer.expect_all()
    tally = torturer.tally
    print(
        f"seed {seed}: {tally.operations} operations, {tally.large} large values stored, the "
        f"longest set {tally.longest_seconds * 1e3:.0f} ms"
    )


@click.command()
@click.option("--seconds", default=120.0, show_default=True)
@click.option("--processes", default=2, show_default=True)
@click.option("--memory", default="64mb", show_default=True)
@click.option("--seed", type=int, default=None, help="Default: drawn, and printed.")
def main(seconds: float, processes: int, memory: str, seed: int | None) -> None:
    """Torture a table with large values."""
    seed = secrets.randbits(32) if seed is None else seed
    print(f"--seed {seed} --processes {processes} --memory {memory} --seconds {seconds:g}")
    name = f"big-values-{os.getpid()}"
    with forkkv.attach(name, create=True, memory=parse_size(memory)) as table:
        try:
            children = [
                FORK.Process(target=torture, args=(name, seed + i, processes, seconds))
                for i in range(processes)
            ]
            for child in children:
                child.start()
            for child in children:
                child.join()
            fault = table.check()
            copied = table.departed()["counts"]["bytes_copied"]
        finally:
            forkkv.unlink(name)
    print(f"check: {fault or 'clean'}; {copied // MIB} MiB moved to make room")
    sys.exit(fault is not None or any(child.exitcode != 0 for child in children))


if __name__ == "__main__":
    main()
