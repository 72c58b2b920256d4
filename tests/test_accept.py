"""Connections spread over the workers, and none is ever left waiting."""

import errno
import os
import random
import time
from typing import Any, cast

import pytest

from forkkv.accept import (
    SERVING,
    STALE_NS,
    TICK_MS,
    TOO_MANY,
    YIELDING,
    Accept,
    Load,
    above_share,
    left_to_others,
    present,
)

LISTENER = 7


class FakeTable:
    """The loads of the other workers, and what this worker says of itself."""

    def __init__(self, *others: Load) -> None:
        self.others = list(others)
        self.state = ""
        self.own = 0

    def worker_loads(self) -> list[Load]:
        return [*self.others, (0, os.getpid(), self.own, time.monotonic_ns(), self.state)]

    def set_state(self, state: str) -> None:
        self.state = state


class FakeServer:
    """A listener's watchers, and connections that can be accepted, or an errno."""

    def __init__(self, table: FakeTable) -> None:
        self.table = table
        self.connections = 0
        self.watched: list[int] = []
        self.rejected: list[bytes] = []
        self.failure = 0
        self.reject_failure = 0

    def listen(self, fd: int) -> None:
        assert fd not in self.watched
        self.watched.append(fd)

    def unlisten(self, fd: int) -> None:
        self.watched.remove(fd)

    def accept(self, fd: int) -> tuple[int, int] | None:
        if self.failure:
            raise OSError(self.failure, os.strerror(self.failure))
        self.connections += 1
        self.table.own = self.connections
        return self.connections, 100 + self.connections

    def reject(self, fd: int, error: bytes) -> bool:
        if self.reject_failure:
            raise OSError(self.reject_failure, os.strerror(self.reject_failure))
        self.rejected.append(error)
        return True


def other(connections: int, state: str = SERVING, age_ns: int = 0, index: int = 1) -> Load:
    return index, 1_000_000 + index, connections, time.monotonic_ns() - age_ns, state


def make(*others: Load, maxclients: int = 1000) -> tuple[Accept, FakeServer, FakeTable]:
    table = FakeTable(*others)
    server = FakeServer(table)
    accept = Accept(cast(Any, server), cast(Any, table), [LISTENER], maxclients)
    accept.watch()
    return accept, server, table


def step_back(accept: Accept, server: FakeServer) -> None:
    """Accepts until it has more than its share."""
    while server.watched:
        accept.accept(LISTENER)


def look(accept: Accept) -> None:
    """As after a tick that has waited for the whole pause."""
    accept.look(accept.look_at_ns)


def test_only_running_workers_that_take_part_count() -> None:
    loads = [other(1), other(2, age_ns=STALE_NS), other(3, "draining"), other(4, YIELDING)]
    found = present(loads, os.getpid(), time.monotonic_ns())
    assert [load[2] for load in found] == [1, 4]


def test_one_connection_more_than_the_mean_is_fair() -> None:
    assert not above_share(1, [other(0)] * 3)
    assert above_share(2, [other(0)] * 3)
    assert not above_share(110, [other(100)] * 3)


def test_nobody_relies_on_a_worker_that_does_not_watch() -> None:
    assert left_to_others(10, [other(0, YIELDING), other(9)])
    assert not left_to_others(10, [other(0, YIELDING), other(10)])


def test_an_even_worker_goes_to_the_end_of_the_queue() -> None:
    accept, server, table = make(other(5), other(5, index=2))
    assert accept.accept(LISTENER) == 1
    assert server.watched == [LISTENER]
    assert table.state == SERVING


def test_a_worker_above_its_share_leaves_and_comes_back_when_level() -> None:
    accept, server, table = make(other(0))
    step_back(accept, server)
    assert table.state == YIELDING
    assert accept.timeout_ms < TICK_MS
    table.others = [other(3)]
    look(accept)
    assert server.watched == [LISTENER]
    assert table.state == SERVING


def test_a_worker_returns_when_the_one_it_relied_on_is_stopped() -> None:
    accept, server, table = make(other(0))
    step_back(accept, server)
    look(accept)
    assert server.watched == []
    table.others = [other(0, age_ns=STALE_NS)]
    look(accept)
    assert server.watched == [LISTENER]


def test_it_looks_less_often_while_nothing_changes() -> None:
    accept, server, table = make(other(0))
    step_back(accept, server)
    pauses = []
    for _ in range(12):
        look(accept)
        pauses.append(accept.timeout_ms)
    assert pauses == sorted(pauses)
    assert pauses[-1] == 100
    table.others = [other(0), other(1, index=2)]
    look(accept)
    assert accept.timeout_ms == 1


def test_an_idle_worker_takes_over_for_one_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    accept, _, table = make(other(0, age_ns=STALE_NS))
    watched: list[int] = []
    monkeypatch.setattr(accept.server, "listen", watched.append)
    look(accept)
    assert watched == [LISTENER]
    table.others = [other(0)]
    look(accept)
    assert watched == [LISTENER]


def test_above_maxclients_a_client_is_told() -> None:
    accept, server, _ = make(other(6), maxclients=8)
    assert [accept.accept(LISTENER) for _ in range(3)] == [1, 2, None]
    assert server.rejected == [TOO_MANY]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_without_descriptors_a_client_is_told(number: int) -> None:
    accept, server, _ = make(other(0))
    server.failure = number
    assert accept.accept(LISTENER) is None
    assert server.rejected == [TOO_MANY]
    assert server.watched == [LISTENER]
    server.failure = 0
    assert accept.accept(LISTENER) == 1


def test_without_any_descriptor_the_listener_rests_and_recovers() -> None:
    accept, server, _ = make(other(0))
    server.failure = server.reject_failure = errno.ENFILE
    assert accept.accept(LISTENER) is None
    assert server.watched == []
    assert accept.timeout_ms >= 100
    server.failure = 0
    look(accept)
    assert server.watched == [LISTENER]
    assert accept.accept(LISTENER) == 1


def test_a_pause_is_kept_however_busy_the_worker_is() -> None:
    accept, server, table = make(other(0))
    step_back(accept, server)
    table.others = []
    accept.look(accept.look_at_ns - 1)
    assert server.watched == []
    look(accept)
    assert server.watched == [LISTENER]


class Simulated:
    """Several workers with one table of loads, to play accepts in any order."""

    def __init__(self, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pids = list(range(1, count + 1))
        self.turn = 0
        monkeypatch.setattr(os, "getpid", lambda: self.pids[self.turn])
        self.workers = [make() for _ in self.pids]
        for _, _, table in self.workers:
            table.worker_loads = self.loads  # type: ignore[method-assign]

    def loads(self) -> list[Load]:
        now = time.monotonic_ns()
        return [
            (index, pid, server.connections, now, table.state)
            for index, (pid, (_, server, table)) in enumerate(
                zip(self.pids, self.workers, strict=True)
            )
        ]

    def select(self, turn: int) -> tuple[Accept, FakeServer, FakeTable]:
        self.turn = turn
        return self.workers[turn]

    def watching(self) -> list[int]:
        return [i for i, (_, server, _) in enumerate(self.workers) if server.watched]

    def let_all_look(self, order: list[int]) -> None:
        for turn in order:
            look(self.select(turn)[0])


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_order_the_least_loaded_watches_once_it_has_looked(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    simulated = Simulated(4, monkeypatch)
    for _ in range(300):
        watching = simulated.watching()
        if watching:
            accept, server, _ = simulated.select(chance.choice(watching))
            accept.accept(LISTENER)
            if chance.random() < 0.3:
                server.connections -= chance.randint(0, server.connections)
        if chance.random() < 0.5:
            simulated.let_all_look(chance.sample(range(4), 4))
            loads = [server.connections for _, server, _ in simulated.workers]
            assert loads.index(min(loads)) in simulated.watching()
