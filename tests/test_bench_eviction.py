"""A replay counts what a cache lacked after the warm-up, and is never faster than its rate."""

import contextlib
from collections.abc import Iterator

import pytest

from forkkv.perf import bench_eviction
from forkkv.perf.bench_caches import Cache, Size
from forkkv.perf.bench_eviction import BATCH, CACHES, replay
from forkkv.perf.traces import same_size


@contextlib.contextmanager
def open_endless(limit: int, size: Size) -> Iterator[Cache]:
    """A cache that never evicts."""
    held: set[int] = set()

    def ask(batch: object) -> list[int]:
        assert isinstance(batch, list)
        return [number for number in batch if number not in held]

    yield Cache(ask, held.update, lambda: len(held), lambda: 0)


class Clock:
    """Time that passes only in sleep()."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(bench_eviction, "time", made)
    monkeypatch.setitem(CACHES, "endless", open_endless)
    return made


def test_only_what_is_missing_after_the_warm_up_counts(clock: Clock) -> None:
    old, new = list(range(BATCH)), list(range(100, 100 + BATCH))
    run = replay("endless", old + old + new + old, 2 * BATCH, 0, same_size, 1000)
    assert run.misses == 0.5
    assert run.keys == 2 * BATCH


def test_a_replay_takes_as_long_as_its_rate_says(clock: Clock) -> None:
    replay("endless", list(range(11 * BATCH)), 0, 0, same_size, BATCH)
    assert clock.now == pytest.approx(1010.0)  # the last batch is not waited for


def test_a_table_is_replayed_for_real() -> None:
    run = replay("forkkv s3fifo", [*range(640), *range(640)], 640, 4 << 20, same_size, 1e9)
    assert (run.misses, run.keys) == (0.0, 640)
