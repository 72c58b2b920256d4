"""The local door against what a Python program would use instead: py-lmdb, warp-cache, a dict.

Every side runs the same loop over the same keys in this process; the loop's own cost is in both.
"""

import contextlib
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import lmdb
import redis
import warp_cache

import forkkv
from forkkv.perf.bench import Comparison, Measure
from forkkv.perf.bench_process import free_port, server

VALUE = b"x" * 100
NAME = "forkkv-bench-local"
BATCH = 100


def per_operation(function: Callable[[Any], object], arguments: Sequence[Any]) -> Measure:
    """Nanoseconds of one call, over all arguments."""

    def measure() -> float:
        start = time.perf_counter_ns()
        for argument in arguments:
            function(argument)
        return (time.perf_counter_ns() - start) / len(arguments)

    return measure


def per_key(function: Callable[[Any], object], batches: Sequence[Sequence[Any]]) -> Measure:
    whole = per_operation(function, batches)
    return lambda: whole() / BATCH


class Sides:
    """The same keys and values in each store."""

    def __init__(self, folder: str, keys: int, port: int) -> None:
        self.keys = [b"key:%012d" % i for i in range(keys)]
        self.table = forkkv.attach(NAME, create=True, memory="512mb")
        self.plain = {key: bytes(VALUE) for key in self.keys}
        self.lmdb = lmdb.open(folder, map_size=1 << 30, sync=False, writemap=True, metasync=False)
        self.redis = redis.Redis(port=port)
        pairs = [(key, VALUE) for key in self.keys]
        for key, value in pairs:
            self.table.set(key, value)
        with self.lmdb.begin(write=True) as transaction:
            transaction.cursor().putmulti(pairs)
        self.reader = self.lmdb.begin(buffers=False)

    def lmdb_get(self, key: bytes) -> bytes | None:
        with self.lmdb.begin() as transaction:
            value: bytes | None = transaction.get(key)
            return value

    def lmdb_put(self, key: bytes) -> None:
        with self.lmdb.begin(write=True) as transaction:
            transaction.put(key, VALUE)

    def table_set(self, key: bytes) -> None:
        self.table.set(key, VALUE)

    def close(self) -> None:
        self.reader.abort()
        self.lmdb.close()
        self.table.close()
        self.redis.close()
        forkkv.unlink(NAME)
        for left in Path("/dev/shm").glob(f"warp_cache_{__name__}*"):
            left.unlink()  # warp-cache keeps them for ever


def _value_of(key: bytes) -> bytes:
    return VALUE


def warp_reader(keys: Sequence[bytes]) -> Callable[[bytes], bytes]:
    """warp-cache has no get: a decorated function whose results are all in its shared cache."""

    cached = warp_cache.cache(max_size=4 * len(keys), backend="shared")
    read: Callable[[bytes], bytes] = cached(_value_of)
    for key in keys:
        read(key)
    return read


def asked(keys: Sequence[bytes], count: int) -> list[bytes]:
    """Keys at random that equal the stored ones and are other objects, as a program's are."""
    draw = random.Random(1)
    return [bytes(bytearray(draw.choice(keys))) for _ in range(count)]


def compare(sides: Sides, operations: int) -> list[Comparison]:
    cold = asked(sides.keys, operations)
    hot = asked(sides.keys[:1000], operations)
    few = cold[: max(operations // 50, 100)]
    batches = [cold[i : i + BATCH] for i in range(0, len(cold) - BATCH + 1, BATCH)]
    get, reader = sides.table.get, sides.reader.get
    plain = sides.plain.__getitem__
    warp = warp_reader(sides.keys[:1000])
    cold_get, hot_get = per_operation(get, cold), per_operation(get, hot)
    return [
        Comparison("get, cold", "py-lmdb, open read txn", 0.5, cold_get,
                   per_operation(reader, cold)),
        Comparison("get, cold", "py-lmdb, one txn per get", 0.35, cold_get,
                   per_operation(sides.lmdb_get, cold)),
        Comparison("get, cold", "dict", 1.0, cold_get, per_operation(plain, cold)),
        Comparison("get_many of 100, per key", "get, cold", 0.5,
                   per_key(sides.table.get_many, batches), cold_get),
        Comparison("get, hot", "warp-cache, shared", 0.6, hot_get, per_operation(warp, hot)),
        Comparison("get, hot", "dict", 4.0, hot_get, per_operation(plain, hot)),
        Comparison("get, cold", "redis-py over TCP", 0.01, cold_get,
                   per_operation(sides.redis.get, few)),
        Comparison("set", "py-lmdb, one put per txn", 0.25, per_operation(sides.table_set, cold),
                   per_operation(sides.lmdb_put, few)),
    ]  # fmt: skip


@contextlib.contextmanager
def comparisons(quick: bool) -> Iterator[tuple[str, str, list[Comparison]]]:
    keys = 100_000 if quick else 1_000_000
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, server(command, port):
        sides = Sides(folder, keys, port)
        try:
            subprocess.run(
                ["redis-cli", "-p", str(port), "--pipe"],
                input="".join(f"SET {key.decode()} {VALUE.decode()}\r\n" for key in sides.keys),
                text=True,
                stdout=subprocess.DEVNULL,
                check=True,
                cwd=Path(folder),
            )
            title = f"local door: {keys} keys of 16 bytes, values of {len(VALUE)}"
            yield title, "ns", compare(sides, keys // 5)
        finally:
            sides.close()
