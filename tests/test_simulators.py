"""The textbook caches do by hand-worked examples what their papers say."""

from forkkv.perf.simulators import S3Fifo, lru, s3fifo


def test_lru_keeps_what_was_used_last() -> None:
    assert lru([1, 2, 1, 3, 1, 2], 2, 0) == 4 / 6  # 3 takes the place of 2
    assert lru([1, 2, 3] * 4, 2, 3) == 1.0  # a loop that is one too long never hits
    assert lru([1, 2, 3] * 4, 3, 3) == 0.0


def test_only_what_was_used_twice_goes_to_the_main_queue() -> None:
    cache = S3Fifo(10)  # one in the small queue, once the cache is full
    for key in range(10):
        cache.ask(key)
    for _ in range(2):
        cache.ask(0)
    cache.ask(1)
    for key in range(100, 103):
        cache.ask(key)
    assert 0 in cache.main
    assert 1 not in cache.main
    assert 1 in cache.ghosts


def test_a_ghost_comes_back_into_the_main_queue() -> None:
    cache = S3Fifo(10)
    for key in range(12):
        cache.ask(key)
    assert not cache.ask(0)
    assert 0 in cache.main
    assert 0 not in cache.ghosts


def test_the_main_queue_gives_used_items_another_round() -> None:
    cache = S3Fifo(10)
    for key in range(12):
        cache.ask(key)
    for key in (0, 1):
        cache.ask(key)  # both are in the main queue now
    cache.ask(0)
    cache.small.clear()
    cache._evict()
    assert list(cache.main) == [0]


def test_it_never_holds_more_than_its_capacity() -> None:
    cache = S3Fifo(50)
    for number in range(5000):
        cache.ask(number * number % 211)
        assert len(cache.small) + len(cache.main) <= 50
        assert len(cache.ghosts) <= 45


def test_a_scan_hurts_it_less_than_lru() -> None:
    trace = [key for round_ in range(400) for key in (*range(20), 1000 + 2 * round_, 2000 + round_)]
    assert s3fifo(trace, 21, 1000) < 0.2 < lru(trace, 21, 1000)
