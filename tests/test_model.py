"""A table does what a dict does: under random operations, and under several processes at once."""

import dataclasses
import multiprocessing
import os
import random
import secrets
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

import pytest
from conftest import DEADLINE, left_behind
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import forkkv
from forkkv import _core

PAST, FUTURE = 1.0, 4_000_000_000.0  # absolute: no test waits for either
PROCESSES = 3
OPERATIONS = 50_000

keys = st.sampled_from([f"key-{i}".encode() for i in range(24)] + [b"\0", b"k" * 300])
values = st.one_of(
    st.binary(max_size=40),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: str(number).encode()),
    st.builds(lambda byte, size: bytes([byte]) * size, st.integers(0, 255), st.integers(0, 60_000)),
)


@dataclass
class Entry:
    """What the model knows of a key."""

    value: bytes
    expires: bool = False


def as_integer(value: bytes) -> int | None:
    """As the table reads it: the shortest decimal form, within 64 bits."""
    text = value.decode("ascii", "replace")
    if len(text) > 20 or not text.lstrip("-").isdigit() or str(int(text)) != text:
        return None
    return int(text) if -(2**63) <= int(text) < 2**63 else None


class TableModel(RuleBasedStateMachine):
    """Runs the same on a table of 4 MiB, the smallest there is, and on a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.name = f"test-model-{os.getpid()}-{secrets.token_hex(4)}"
        self.table = forkkv.attach(self.name, create=True, memory=_core.MEMORY_MIN)
        self.model: dict[bytes, Entry] = {}

    def teardown(self) -> None:
        try:
            assert self.table.check() is None
            assert dict(self.table.items()) == {k: e.value for k, e in self.model.items()}
        finally:
            self.table.close()
            forkkv.unlink(self.name)
        assert left_behind(self.name) == []

    def store(self, key: bytes, value: bytes, keep: bool = False) -> None:
        kept = keep and key in self.model and self.model[key].expires
        self.model[key] = Entry(value, kept)

    @rule(key=keys, value=values, nx=st.booleans(), xx=st.booleans(), keep=st.booleans())
    def set(self, key: bytes, value: bytes, nx: bool, xx: bool, keep: bool) -> None:
        xx = xx and not nx
        met = (key not in self.model) if nx else (key in self.model or not xx)
        assert self.table.set(key, value, None, nx, xx, keep) is met
        if met:
            self.store(key, value, keep)

    @rule(key=keys, value=values)
    def get_set(self, key: bytes, value: bytes) -> None:
        old = self.model.get(key)
        assert self.table.get_set(key, value) == (old.value if old else None)
        self.store(key, value)

    @rule(key=keys)
    def pop(self, key: bytes) -> None:
        old = self.model.pop(key, None)
        assert self.table.pop_value(key) == (old.value if old else None)

    @rule(key=keys, tail=st.binary(max_size=2000))
    def append(self, key: bytes, tail: bytes) -> None:
        value = self.model.get(key, Entry(b"")).value + tail
        assert self.table.append(key, tail) == len(value)
        self.store(key, value, keep=True)

    @rule(key=keys, delta=st.integers(-(2**63), 2**63 - 1))
    def incr(self, key: bytes, delta: int) -> None:
        number = as_integer(self.model[key].value) if key in self.model else 0
        if number is None or not -(2**63) <= number + delta < 2**63:
            try:
                raise AssertionError(f"incr gave {self.table.incr(key, delta)}")
            except forkkv.NotAnInteger:
                return
        assert self.table.incr(key, delta) == number + delta
        self.store(key, str(number + delta).encode(), keep=True)

    @rule(key=keys)
    def expire_in_the_future(self, key: bytes) -> None:
        assert self.table.expire_at(key, FUTURE) is (key in self.model)
        if key in self.model:
            self.model[key].expires = True

    @rule(key=keys)
    def expire_in_the_past(self, key: bytes) -> None:
        assert self.table.expire_at(key, PAST) is (key in self.model)
        self.model.pop(key, None)

    @rule(key=keys)
    def persist(self, key: bytes) -> None:
        expires = key in self.model and self.model[key].expires
        assert self.table.persist(key) is expires
        if expires:
            self.model[key].expires = False

    @rule(pairs=st.dictionaries(keys, st.binary(max_size=5000), max_size=10))
    def set_many(self, pairs: dict[bytes, bytes]) -> None:
        self.table.set_many(pairs)
        for key, value in pairs.items():
            self.store(key, value)

    @rule(key=keys, new_key=keys, nx=st.booleans())
    def rename(self, key: bytes, new_key: bytes, nx: bool) -> None:
        if key not in self.model:
            with pytest.raises(KeyError):
                self.table.rename(key, new_key, nx)
            return
        happens = not (nx and new_key in self.model)
        assert self.table.rename(key, new_key, nx) is happens
        if happens:
            self.model[new_key] = self.model.pop(key)

    @rule(key=keys, new_key=keys, replace=st.booleans())
    def copy(self, key: bytes, new_key: bytes, replace: bool) -> None:
        if key not in self.model:
            with pytest.raises(KeyError):
                self.table.copy(key, new_key, replace)
            return
        happens = replace or new_key not in self.model
        assert self.table.copy(key, new_key, replace) is happens
        if happens:
            self.model[new_key] = dataclasses.replace(self.model[key])

    @rule(some=st.lists(keys, max_size=10))
    def get_many(self, some: list[bytes]) -> None:
        expected = [self.model[key].value if key in self.model else None for key in some]
        assert self.table.get_many(some) == expected

    @rule(key=keys, size=st.integers(1000, 60_000), times=st.integers(10, 100))
    def overwrite(self, key: bytes, size: int, times: int) -> None:
        for i in range(times):
            self.table[key] = value = bytes([i]) * size
        self.store(key, value)

    @precondition(lambda self: len(self.model) > 20)
    @rule()
    def clear(self) -> None:
        self.table.clear()
        self.model.clear()

    @invariant()
    def counts_agree(self) -> None:
        expiring = sum(entry.expires for entry in self.model.values())
        assert self.table.count(0) == (len(self.model), expiring)
        assert self.table.facts()["memory_used_bytes"] <= _core.MEMORY_MIN


TestTableModel = TableModel.TestCase
TestTableModel.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


# ---- several processes ------------------------------------------------------------------------


class Player:
    """One process's share: random operations on keys that only it writes, and a dict to match."""

    def __init__(self, table: forkkv.Table, seed: int) -> None:
        self.table = table
        self.random = random.Random(seed)
        self.keys = [f"{seed}-{i}".encode() for i in range(60)]
        self.model: dict[bytes, bytes] = {}

    def play(self) -> None:
        moves = [self.set] * 5 + [self.get] * 5 + [self.delete, self.expire, self.set_many]
        for _ in range(OPERATIONS):
            self.random.choice(moves)()
        assert self.table.get_many(self.keys) == [self.model.get(key) for key in self.keys]

    def value(self) -> bytes:
        size = self.random.choice([0, 5, 50, 500, 5000, 15_000])
        return self.random.randbytes(4) * (self.random.randint(0, size) // 4)

    def set(self) -> None:
        key, value = self.random.choice(self.keys), self.value()
        self.table[key] = value
        self.model[key] = value

    def set_many(self) -> None:
        pairs = {key: self.value() for key in self.random.sample(self.keys, 4)}
        self.table.set_many(pairs)
        self.model |= pairs

    def get(self) -> None:
        key = self.random.choice(self.keys)
        assert self.table.get(key) == self.model.get(key), key

    def delete(self) -> None:
        key = self.random.choice(self.keys)
        assert self.table.pop_value(key) == self.model.pop(key, None), key

    def expire(self) -> None:
        key = self.random.choice(self.keys)
        assert self.table.expire_at(key, PAST) is (self.model.pop(key, None) is not None), key


def play(name: str, seed: int) -> None:
    with forkkv.attach(name) as table:
        Player(table, seed).play()


def test_processes_that_own_their_keys_see_what_they_wrote(table_name: str) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # shown by pytest when the test fails
    context = multiprocessing.get_context("fork")
    with forkkv.attach(table_name, create=True, memory=_core.MEMORY_MIN) as table:
        players: list[BaseProcess] = [
            context.Process(target=play, args=(table_name, seed + i)) for i in range(PROCESSES)
        ]
        for player in players:
            player.start()
        for player in players:
            player.join(DEADLINE)
            player.kill()
        assert [player.exitcode for player in players] == [0] * PROCESSES
        assert table.check() is None
        assert table.repair() == 0
        assert table.departed()["counts"]["segments_freed"] > 0, (
            "no reclaim: too little was written"
        )
