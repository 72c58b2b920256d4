"""Requests to a cache, as numbers of keys: the same ones for every store, from a printed seed."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

SPREAD: Final = 0x9E3779B97F4A7C15  # odd, so that multiplying is a bijection of 64 bits
SCAN_SHARE: Final = 0.1
SHIFT_EVERY: Final = 50_000  # requests
SHIFT_BY: Final = 100  # parts of the keys: how far popularity moves on each time


def key_of(number: int) -> bytes:
    """Sixteen bytes; neighbouring numbers have nothing in common."""
    return b"%016x" % (number * SPREAD & (1 << 64) - 1)


def zipf(keys: int, alpha: float, count: int, seed: int) -> list[int]:
    """The r-th most popular of `keys` is asked for in proportion to 1 / r**alpha."""
    weights = list(itertools.accumulate((rank + 1) ** -alpha for rank in range(keys)))
    return random.Random(seed).choices(range(keys), cum_weights=weights, k=count)


def with_scan(trace: list[int], keys: int, seed: int) -> list[int]:
    """A tenth of the requests are for keys that nobody asks for again."""
    draw = random.Random(seed).random
    fresh = itertools.count(keys)
    return [next(fresh) if draw() < SCAN_SHARE else number for number in trace]


def loop(keys: int, count: int) -> list[int]:
    """All keys in turn, again and again."""
    return [number % keys for number in range(count)]


def shifting(trace: list[int], keys: int) -> list[int]:
    """Popularity moves on: what was hot cools down, and other keys become hot."""
    step = keys // SHIFT_BY
    return [(number + at // SHIFT_EVERY * step) % keys for at, number in enumerate(trace)]


def same_size(number: int) -> int:
    """Bytes of the value of a key."""
    return 100


def mixed_size(number: int) -> int:
    """50 B to 4 KiB, as many keys in each doubling; a key keeps its size."""
    fraction = (number * SPREAD >> 20 & 0xFFFF) / 0x10000
    size: float = 50 * (4096 / 50) ** fraction
    return round(size)


@dataclass(frozen=True)
class Workload:
    """What is asked for, and how large the values are."""

    name: str
    requests: Callable[[int, int], list[int]]  # of how many keys, how many
    value_bytes: Callable[[int], int] = same_size


def workloads(seed: int, loop_keys: int) -> Iterator[Workload]:
    """The six that caches are compared by; `loop_keys` is a little more than fits."""

    def popular(keys: int, count: int) -> list[int]:
        return zipf(keys, 0.99, count, seed)

    yield Workload("zipf 0.99", popular)
    yield Workload(
        "zipf 0.99, 10 % scan", lambda keys, count: with_scan(popular(keys, count), keys, seed)
    )
    yield Workload("loop of 1.2 caches", lambda keys, count: loop(loop_keys, count))
    yield Workload("zipf 0.8", lambda keys, count: zipf(keys, 0.8, count, seed))
    yield Workload("shifting zipf 0.99", lambda keys, count: shifting(popular(keys, count), keys))
    yield Workload("zipf 0.99, mixed sizes", popular, mixed_size)
