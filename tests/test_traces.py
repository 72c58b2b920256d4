"""Traces are the same for the same seed, and have the shape that they are named after."""

from collections import Counter

from forkkv.perf.traces import (
    key_of,
    loop,
    mixed_size,
    same_size,
    shifting,
    with_scan,
    workloads,
    zipf,
)

KEYS, COUNT = 1000, 20_000


def test_the_same_seed_gives_the_same_requests() -> None:
    first, again = ([each.requests(KEYS, 500) for each in workloads(7, 120)] for _ in range(2))
    assert first == again
    assert zipf(KEYS, 0.99, 500, 7) != zipf(KEYS, 0.99, 500, 8)


def test_popularity_falls_as_its_rank() -> None:
    counts = Counter(zipf(KEYS, 0.99, COUNT, 1))
    assert 5 < counts[0] / counts[9] < 20
    assert sum(counts[rank] for rank in range(KEYS // 10)) > COUNT / 2


def test_a_tenth_of_a_scan_is_asked_for_once() -> None:
    counts = Counter(with_scan(zipf(KEYS, 0.99, COUNT, 1), KEYS, 2))
    fresh = {number: times for number, times in counts.items() if number >= KEYS}
    assert set(fresh.values()) == {1}
    assert 0.08 < len(fresh) / COUNT < 0.12


def test_a_loop_asks_for_all_in_turn() -> None:
    assert loop(3, 7) == [0, 1, 2, 0, 1, 2, 0]


def test_what_is_popular_shifts() -> None:
    trace = shifting([0] * 120_000, KEYS)
    assert [trace[at] for at in (0, 49_999, 50_000, 119_999)] == [0, 0, 10, 20]


def test_keys_are_all_different_and_sizes_stay_in_their_range() -> None:
    assert len({key_of(number) for number in range(KEYS)}) == KEYS
    assert {len(key_of(number)) for number in range(KEYS)} == {16}
    sizes = [mixed_size(number) for number in range(KEYS)]
    assert 50 <= min(sizes) < 60 and 3500 < max(sizes) <= 4096
    assert sum(size < 453 for size in sizes) in range(400, 600)  # half below the geometric mean
    assert same_size(1) == 100
