"""The workloads: the same for the same seed, and in the proportions that they claim."""

from collections import Counter
from itertools import islice

import hiredis
import pytest

from forkkv.clients.workloads import COUNTER_KEY, HOT_KEY, WORKLOADS, Keyspace


def commands(name: str, count: int, seed: int = 1, keys: int = 100) -> list[list[bytes]]:
    """The first `count` commands of a workload, unpacked."""
    keyspace = Keyspace(keys, 32, "uniform", seed)
    reader = hiredis.Reader()
    for packed in islice(WORKLOADS[name].commands(keyspace), count):
        reader.feed(packed)
    return [reader.gets() for _ in range(count)]


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_same_seed_sends_the_same(name: str) -> None:
    assert commands(name, 500) == commands(name, 500)


@pytest.mark.parametrize("name", ["session", "mixed", "churn", "hot-key"])
def test_another_seed_sends_something_else(name: str) -> None:
    assert commands(name, 500, seed=1) != commands(name, 500, seed=2)


@pytest.mark.parametrize(
    ("name", "set_share"),
    [("read-heavy", 0.05), ("write-heavy", 0.95), ("mixed", 0.5), ("hot-key", 0.1)],
)
def test_writes_have_their_share(name: str, set_share: float) -> None:
    verbs = Counter(command[0] for command in commands(name, 10_000))
    assert set(verbs) == {b"GET", b"SET"}
    assert verbs[b"SET"] / 10_000 == pytest.approx(set_share, abs=0.02)


def test_a_session_is_its_seven_commands_about_one_key() -> None:
    first = commands("session", 14)[:7]
    key = first[1][1]
    assert [command[0] for command in first] == [
        b"PING", b"SET", b"GET", b"GET", b"INCR", b"DEL", b"QUIT"
    ]  # fmt: skip
    assert first[2] == [b"GET", key]
    assert first[3] == [b"GET", b"missing"]
    assert first[5] == [b"DEL", key]
    assert WORKLOADS["session"].commands_per_operation == 7


def test_hot_key_and_counter_are_each_about_one_key() -> None:
    assert {command[1] for command in commands("hot-key", 100)} == {HOT_KEY}
    assert commands("counter", 2) == [[b"INCR", COUNTER_KEY]] * 2


def test_uniform_keys_are_all_used_about_as_often() -> None:
    used = Counter(command[1] for command in commands("mixed", 10_000, keys=10))
    assert set(used) == {b"key:%d" % number for number in range(10)}
    assert max(used.values()) < 1.2 * min(used.values())


def test_zipf_keys_are_used_by_their_rank() -> None:
    keyspace = Keyspace(1000, 32, "zipf", seed=1)
    used = Counter(islice(keyspace.draw(), 50_000))
    assert used[b"key:0"] / used[b"key:9"] == pytest.approx(10**0.99, rel=0.2)


def test_values_have_the_size_asked_for() -> None:
    for size in (0, 1, 7, 1000):
        assert len(Keyspace(1, size, "uniform", 1).value) == size


def test_filling_sets_every_key_once() -> None:
    reader = hiredis.Reader()
    keyspace = Keyspace(50, 3, "uniform", 1)
    for packed in keyspace.fill():
        reader.feed(packed)
    assert [reader.gets() for _ in range(50)] == [
        [b"SET", b"key:%d" % number, b"for"] for number in range(50)
    ]


def test_only_workloads_that_keep_whole_requests_together_can_pipeline() -> None:
    assert {name for name, workload in WORKLOADS.items() if not workload.can_pipeline} == {
        "session", "churn", "tiny-writes"
    }  # fmt: skip
