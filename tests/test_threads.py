"""Threads of one process on one handle: none stops another, and close() ends them all cleanly."""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import pytest
from conftest import DEADLINE, wait_until
from door import open_door, pack
from forked import Forked, counts, participants, stop_as_holder, write_for_ever

import forkkv
from forkkv import _core

KEYS = [f"key{i}" for i in range(50)]
USERS = 4


@pytest.fixture
def table(table_name: str) -> Iterator[forkkv.Table]:
    with forkkv.attach(table_name, create=True, memory="4mb") as attached:
        yield attached


class Running(threading.Thread):
    """A thread that keeps what its work returned or raised."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.work, self.result = work, None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:
            self.result = error

    def finish(self) -> object:
        self.join(DEADLINE)
        assert not self.is_alive(), f"{self.work} goes on and on"
        return self.result


@contextmanager
def stopped_holder(table: _core.Table) -> Iterator[Forked]:
    """A process that is stopped while it holds the lock of "hot"."""
    with Forked(lambda self: write_for_ever(table, "hot")) as holder:
        stop_as_holder(table, holder.pid, "hot")
        yield holder
        holder.kill()
    table.repair()


def elsewhere(table: forkkv.Table) -> str:
    """A key whose lock is free, asked for through another handle."""
    with forkkv.attach(table.name) as asking:
        asking.set_lock_timeout(10)
        for key in KEYS:
            with suppress(forkkv.TableBusy):
                asking.set(key, "value")
                return key
    raise AssertionError("every lock is held")


def waits_for_lock(table: _core.Table, waits: int) -> bool:
    """Whether this process has waited for more locks than `waits`."""
    return counts(table, os.getpid())["lock_waits"] > waits


# ---- waiting ----------------------------------------------------------------------------------

WAITING: dict[str, Callable[[forkkv.Table], object]] = {
    "set": lambda table: table.set("hot", "value"),
    "append": lambda table: table.append("hot", "value"),
    "delete": lambda table: table.delete("hot"),
    "set_many": lambda table: table.set_many({"hot": "value", "key0": "value"}),
    "clear": lambda table: table.clear(),
    "check": lambda table: table.check(),
}


@pytest.mark.parametrize("name", WAITING)
def test_while_a_thread_waits_for_a_lock_the_others_go_on(table: forkkv.Table, name: str) -> None:
    with stopped_holder(table) as holder:
        key = elsewhere(table)
        table.set_lock_timeout(60_000)
        waits = counts(table, os.getpid())["lock_waits"]
        waiting = Running(lambda: WAITING[name](table))
        wait_until(lambda: waits_for_lock(table, waits), "the thread to wait")
        for i in range(1000):
            table[key] = str(i)
            assert table.get_many([key, "key no"]) == [str(i).encode(), None]
            assert {b"hot", key.encode()} <= set(table)
        assert waiting.is_alive()
        os.kill(holder.pid, signal.SIGKILL)
        assert not isinstance(waiting.finish(), BaseException)


def test_a_thread_that_waits_gets_the_lock_of_the_dead(table: forkkv.Table) -> None:
    with stopped_holder(table) as holder:
        table.set_lock_timeout(60_000)
        waits = counts(table, os.getpid())["lock_waits"]
        threads = [Running(lambda: table.incr("hot2") and table.set("hot", "mine")) for _ in "123"]
        wait_until(lambda: waits_for_lock(table, waits), "a thread to wait")
        os.kill(holder.pid, signal.SIGKILL)
        assert [thread.finish() for thread in threads] == [True] * 3
    assert table["hot"] == b"mine"


def test_a_signal_is_handled_once_the_wait_has_ended(table: forkkv.Table) -> None:
    handled: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: handled.append(number))
    try:
        with stopped_holder(table):
            table.set_lock_timeout(200)
            waits = counts(table, os.getpid())["lock_waits"]

            def send() -> None:
                wait_until(lambda: waits_for_lock(table, waits), "the main thread to wait")
                os.kill(os.getpid(), signal.SIGUSR1)

            sender = Running(send)
            with pytest.raises(forkkv.TableBusy):
                table["hot"] = "value"
            assert sender.finish() is None
            assert handled == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_process_may_fork_while_its_threads_wait_for_a_lock(table: forkkv.Table) -> None:
    with stopped_holder(table) as holder:
        key = elsewhere(table)
        table.set_lock_timeout(60_000)
        waits = counts(table, os.getpid())["lock_waits"]
        waiting = [Running(lambda: table.set("hot", "mine")) for _ in range(2)]
        wait_until(lambda: waits_for_lock(table, waits), "a thread to wait")

        def work(self: Forked) -> None:
            table[key] = "by the child"
            table.close()  # waits for no thread: here they are not

        with Forked(work) as child:
            child.finish()
        assert table[key] == b"by the child"
        os.kill(holder.pid, signal.SIGKILL)
        assert [thread.finish() for thread in waiting] == [True, True]


def test_while_a_command_of_a_server_waits_no_other_thread_comes_in(table_name: str) -> None:
    with open_door(table_name) as door:
        peer = door.connect()
        with stopped_holder(door.table):
            door.table.set_lock_timeout(500)
            waits = counts(door.table, os.getpid())["lock_waits"]
            peer.send(pack("SET", "hot", "value"))
            ticking = Running(door.tick)
            wait_until(lambda: waits_for_lock(door.table, waits), "the command to wait")
            for call in (lambda: door.server.tick(0), door.server.drain, door.server.shutdown):
                with pytest.raises(RuntimeError, match="another thread"):
                    call()
            assert ticking.finish() is None
        assert peer.replies(1).startswith(b"-BUSY")
        assert peer.call("SET", "hot", "value") == b"+OK\r\n"


# ---- closing ----------------------------------------------------------------------------------


def test_close_lets_a_thread_that_waits_finish(table: forkkv.Table, table_name: str) -> None:
    with forkkv.attach(table_name) as other, stopped_holder(table):
        waiting = Running(lambda: other.set("hot", "value"))
        own = max(each["entry"] for each in table.participants() if each["pid"] == os.getpid())

        def waits() -> bool:
            [mine] = [each for each in table.participants() if each["entry"] == own]
            return mine["counts"]["lock_waits"] > 0

        wait_until(waits, "the thread to wait")
        other.close()
        assert isinstance(waiting.finish(), forkkv.TableClosed)
        assert len([each for each in table.participants() if each["pid"] == os.getpid()]) == 1


def use(table: forkkv.Table, seed: int, operations: int) -> None:
    """Everything a table can do, at random; what it reads must be whole."""
    chance = random.Random(seed)
    for _ in range(operations):
        keys = chance.sample(KEYS, 4)
        value = keys[0] * chance.randint(1, 300)
        match chance.randint(0, 9):
            case 0:
                table.set_many(dict.fromkeys(keys, value))
            case 1:
                table.delete(keys[0])
            case 2:
                assert all(key.startswith((b"key", b"counter")) for key in table)
            case 3:
                table.incr("counter")
            case 4:
                table.scan(0, 20)
                table.facts()
            case 5 | 6:
                table.set(keys[0], bytearray(value, "ascii"), ttl=100)
            case _:
                for found in table.get_many(keys):
                    assert found is None or found.startswith(b"key")
                    assert found is None or len(set(found.split(b"key"))) == 2


def start_users(table: forkkv.Table, seed: int, operations: int) -> list[Running]:
    return [Running(partial(use, table, seed + who, operations)) for who in range(USERS)]


def test_threads_do_everything_at_once_on_one_handle(table: forkkv.Table) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    threads = start_users(table, seed, 1500)
    assert [thread.finish() for thread in threads] == [None] * USERS
    assert list(participants(table)) == [os.getpid()]


def test_close_while_others_use_the_handle_is_an_error_of_theirs(
    table: forkkv.Table, table_name: str
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)

    def use_and_close() -> None:
        other = forkkv.attach(table_name)
        threads = start_users(other, seed, 10**9)
        wait_until(lambda: len(table) > len(KEYS) // 2, "them to be at it")
        other.close()
        assert [type(thread.finish()) for thread in threads] == [forkkv.TableClosed] * USERS
        table.clear()

    with Forked(lambda self: use(table, seed - 1, 10**9)):  # so that some must wait
        for _ in range(10):
            use_and_close()
    table.repair()
    assert list(participants(table)) == [os.getpid()]


def test_threads_attach_and_close_at_once(table: forkkv.Table, table_name: str) -> None:
    def come_and_go() -> None:
        for _ in range(100):
            with forkkv.attach(table_name) as other:
                other.incr("visits")

    threads = [Running(come_and_go) for _ in range(4)]
    assert [thread.finish() for thread in threads] == [None] * 4
    assert table["visits"] == b"400"
    assert len(table.participants()) == 1
