"""Textbook caches that count items and nothing else: what a real one can be held beside."""

from collections import OrderedDict
from collections.abc import Callable

Simulator = Callable[[list[int], int, int], float]


def lru(trace: list[int], capacity: int, warm: int) -> float:
    """Miss ratio of least recently used with `capacity` items, after `warm` requests."""
    cache: OrderedDict[int, None] = OrderedDict()
    misses = 0
    for at, key in enumerate(trace):
        if key in cache:
            cache.move_to_end(key)
            continue
        misses += at >= warm
        cache[key] = None
        if len(cache) > capacity:
            cache.popitem(last=False)
    return misses / (len(trace) - warm)


class S3Fifo:
    """S3-FIFO as its paper has it: a small queue of a tenth, a main queue, ghosts for as many.

    J. Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023, algorithm 1.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.small_most = max(1, capacity // 10)
        self.main_most = capacity - self.small_most
        self.small: OrderedDict[int, int] = OrderedDict()  # key: uses, up to 3
        self.main: OrderedDict[int, int] = OrderedDict()
        self.ghosts: OrderedDict[int, None] = OrderedDict()

    def ask(self, key: int) -> bool:
        """Whether it is there; if not, it is stored."""
        for queue in (self.small, self.main):
            if key in queue:
                queue[key] = min(queue[key] + 1, 3)
                return True
        while len(self.small) + len(self.main) >= self.capacity:
            self._evict()
        if key in self.ghosts:
            del self.ghosts[key]
            self.main[key] = 0
        else:
            self.small[key] = 0
        return False

    def _evict(self) -> None:
        if len(self.small) >= self.small_most or not self.main:
            key, uses = self.small.popitem(last=False)
            if uses > 1:
                self.main[key] = 0
                if len(self.main) > self.main_most:
                    self._evict_main()
            else:
                self.ghosts[key] = None
                if len(self.ghosts) > self.main_most:
                    self.ghosts.popitem(last=False)
        else:
            self._evict_main()

    def _evict_main(self) -> None:
        while True:
            key, uses = self.main.popitem(last=False)
            if uses == 0:
                return
            self.main[key] = uses - 1


def s3fifo(trace: list[int], capacity: int, warm: int) -> float:
    """Miss ratio of S3-FIFO with `capacity` items, after `warm` requests."""
    cache = S3Fifo(capacity)
    misses = 0
    for at, key in enumerate(trace):
        hit = cache.ask(key)
        misses += at >= warm and not hit
    return misses / (len(trace) - warm)
