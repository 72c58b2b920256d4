"""The limit is exact: whatever is written, the kernel never charges a table more than its memory.

A process asks the kernel without a pause while keys and values grow, shrink, go and come back.
"""

import random
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
import redis
from conftest import SHARED_MEMORY, StartServer
from forked import Forked

import forkkv
from forkkv import _core

MIB = 1 << 20
Write = Callable[[bytes, bytes], bool]  # whether it was stored: a full table refuses
Delete = Callable[[bytes], object]


@contextmanager
def sampled(name: str) -> Iterator[list[int]]:
    """What the kernel charged the table while the block ran: samples taken, the most, the last."""
    path = SHARED_MEMORY / f"forkkv.{name}"

    def sample(self: Forked) -> None:
        samples = peak = now = 0
        self.tell()
        while not select.select([self.descriptors[0]], [], [], 0)[0]:
            now = path.stat().st_blocks * 512
            samples, peak = samples + 1, max(peak, now)
        self.tell(f"{samples} {peak} {now}")

    found: list[int] = []
    with Forked(sample) as sampler:
        assert sampler.hear() == "ready"
        yield found
        sampler.go_on()
        found += map(int, sampler.hear().split())
        sampler.finish()


class Torture:
    """Writes in phases, each of which wants memory for something else than the one before."""

    def __init__(self, write: Write, delete: Delete, value_max: int, seed: int) -> None:
        self.write, self.delete, self.value_max = write, delete, value_max
        self.draw = random.Random(seed)
        self.prefix = b"%d:" % seed
        self.keys: list[bytes] = []

    def run(self, memory_bytes: int) -> None:
        """Each phase would need about `memory_bytes`, more than what the last one left."""
        self.grow_keys(memory_bytes // 64)
        self.delete_some(0.5)
        self.grow_values(memory_bytes // 256)
        self.delete_some(0.7)
        self.big_values(20)
        self.grow_keys(memory_bytes // 128)
        self.delete_some(1.0)
        self.grow_keys(memory_bytes // 64)
        self.big_values(10)
        self.grow_values(memory_bytes // 512)

    def grow_keys(self, count: int) -> None:
        """Small items: the index takes a large share, and doubles."""
        refused = 0
        for number in range(count):
            key = b"%s%x" % (self.prefix, number)
            if self.write(key, b"v" * self.draw.randrange(16)):
                self.keys.append(key)
            else:
                refused += 1
                if refused == 100:
                    return

    def grow_values(self, count: int) -> None:
        """Overwrites of what is there, longer and longer."""
        for number in range(count):
            self.write(self.draw.choice(self.keys), b"w" * (number * 4096 // count))

    def big_values(self, count: int) -> None:
        """Runs of segments, which need neighbours; the next takes the place of the last."""
        for number in range(count):
            size = self.draw.randrange(self.value_max // 8, self.value_max)
            self.write(b"%sbig%d" % (self.prefix, number % 3), b"b" * size)

    def delete_some(self, share: float) -> None:
        """Garbage everywhere."""
        self.draw.shuffle(self.keys)
        kept = int(len(self.keys) * (1 - share))
        for key in self.keys[kept:]:
            self.delete(key)
        del self.keys[max(kept, 1) :]


@pytest.mark.parametrize("policy", _core.POLICIES)
@pytest.mark.parametrize("memory_bytes", [4 * MIB, 8 * MIB - 4096])
def test_no_program_makes_a_table_larger_than_its_limit(
    table_name: str, policy: str, memory_bytes: int
) -> None:
    with forkkv.attach(table_name, create=True, memory=memory_bytes, policy=policy) as table:

        def write(key: bytes, value: bytes) -> bool:
            try:
                return table.set(key, value)
            except forkkv.TableFull:
                return False

        with sampled(table_name) as found:
            Torture(write, table.delete, table.facts()["value_max"], 1).run(memory_bytes)
        samples, peak, last = found
        facts = table.facts()
    assert samples > 1000
    assert memory_bytes * 0.95 < peak <= memory_bytes
    assert last == facts["memory_used_bytes"]


@pytest.mark.parametrize("policy", _core.POLICIES)
def test_no_clients_make_a_table_larger_than_its_limit(
    start_server: StartServer, policy: str
) -> None:
    memory_bytes = 4 * MIB
    server = start_server("--workers", "2", "--memory", str(memory_bytes), "--policy", policy)

    def torture(seed: int) -> None:
        with server.connect() as client:

            def write(key: bytes, value: bytes) -> bool:
                try:
                    return bool(client.set(key, value))
                except redis.exceptions.OutOfMemoryError:
                    return False

            Torture(write, client.delete, memory_bytes // 8, seed).run(memory_bytes // 32)

    with sampled(server.name) as found:
        threads = [Thread(target=torture, args=[seed]) for seed in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    samples, peak, _ = found
    assert samples > 1000
    assert memory_bytes * 0.9 < peak <= memory_bytes
