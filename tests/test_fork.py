"""A handle after fork(): the child is a participant of its own, and keeps no parent alive."""

import contextlib
import multiprocessing
import os
import pickle
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from conftest import DEADLINE, still_running, wait_until
from forked import Forked, counts, participants, stop_as_holder, write_for_ever

import forkkv

KEYS = 2000


@pytest.fixture
def table(table_name: str) -> Iterator[forkkv.Table]:
    with forkkv.attach(table_name, create=True, memory="4mb") as attached:
        yield attached


# ---- who is who -------------------------------------------------------------------------------


def test_parent_and_child_count_their_own_writes(table: forkkv.Table) -> None:
    def work(self: Forked) -> None:
        for i in range(7):
            table[f"child{i}"] = "value"
        self.tell()
        self.wait()

    table["parent"] = "value"
    with Forked(work) as child:
        child.hear()
        table["parent"] = "again"
        assert participants(table) == {os.getpid(): True, child.pid: True}
        assert counts(table, child.pid)["sets"] == 7
        assert counts(table, os.getpid())["sets"] == 2
        gone = child.pid
        child.finish()
    assert participants(table) == {os.getpid(): True, gone: False}
    assert table.repair() == 1
    assert len(table) == 8


def test_a_grandchild_is_a_participant_of_its_own(table: forkkv.Table) -> None:
    def work(self: Forked) -> None:
        def work_below(below: Forked) -> None:
            table["grandchild"] = str(os.getpid())
            below.tell()
            below.wait()

        with Forked(work_below) as grandchild:
            grandchild.hear()
            table["child"] = str(os.getpid())
            self.tell(grandchild.pid)
            self.wait()
            grandchild.finish()

    with Forked(work) as child:
        grandchild = int(child.hear())
        assert participants(table) == dict.fromkeys([os.getpid(), child.pid, grandchild], True)
        assert table["grandchild"] == str(grandchild).encode()
        child.finish()
    assert table.repair() == 2


def test_a_child_finishes_an_iteration_that_its_parent_began(table: forkkv.Table) -> None:
    keys = {f"key{i}".encode() for i in range(KEYS)}
    table.set_many(dict.fromkeys(keys, "value"))
    running = iter(table)
    seen = {next(running) for _ in range(KEYS // 2)}

    def work(self: Forked) -> None:
        table["more"] = "from the child"
        assert seen | set(running) >= keys

    with Forked(work) as child:
        child.finish()
    assert seen | set(running) >= keys


def test_a_thread_may_fork_while_others_write(table: forkkv.Table) -> None:
    done = threading.Event()

    def write(who: int) -> None:
        while not done.is_set():
            table.incr(f"thread{who}")
            table.set_many({f"{who} {i}": "x" * 100 for i in range(10)})

    def fork() -> None:
        for number in range(20):
            with Forked(lambda self, key=f"child{number}": table.set(key, "value")) as child:  # type: ignore[misc]
                child.finish()
        done.set()

    threads = [threading.Thread(target=write, args=(who,)) for who in range(3)]
    threads.append(threading.Thread(target=fork))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert done.is_set()
    assert sum(key.startswith(b"child") for key in table) == 20
    table.repair()
    assert list(participants(table)) == [os.getpid()]


# ---- the death of a parent --------------------------------------------------------------------


@pytest.mark.parametrize("child_writes", [True, False])
def test_a_parent_killed_with_a_lock_is_replaced_though_its_child_lives(
    table: forkkv.Table, child_writes: bool
) -> None:
    def parent_work(self: Forked) -> None:
        def child_work(below: Forked) -> None:
            if child_writes:
                table["of the child"] = "value"
            self.tell(os.getpid())
            self.wait()  # inherits the pipes, too
            if child_writes:
                table["hot"] = "by the child"
                self.tell(counts(table, os.getpid())["takeovers"])

        child = Forked(child_work)
        assert child.pid
        write_for_ever(table, "hot")

    with Forked(parent_work) as parent:
        orphan = psutil.Process(int(parent.hear()))
        stop_as_holder(table, parent.pid, "hot")
        dead = parent.pid
        parent.kill()
        assert still_running([orphan])
        assert participants(table)[dead] is False
        if child_writes:
            parent.go_on()
            assert parent.hear() == "1"
            assert table["hot"] == b"by the child"
        else:
            table["hot"] = "by another"
            assert counts(table, os.getpid())["takeovers"] == 1
            parent.go_on()
        assert table.repair() >= 1
        assert dead not in participants(table)
        wait_until(lambda: not still_running([orphan]), "the child to end")
    table.repair()


def test_a_program_started_by_the_dead_keeps_nothing_of_it_alive(table: forkkv.Table) -> None:
    """With close_fds off, only the descriptor's own close-on-exec flag is between them."""

    def work(self: Forked) -> None:
        program = [sys.executable, "-c", "import sys; print(1, flush=True); sys.stdin.read()"]
        ours = self.descriptors
        running = subprocess.Popen(program, close_fds=False, stdin=ours[0], stdout=ours[1])
        assert running.pid
        write_for_ever(table, "hot")

    with Forked(work) as parent:
        parent.hear()
        stop_as_holder(table, parent.pid, "hot")
        dead = parent.pid
        parent.kill()
        assert participants(table)[dead] is False
        table["hot"] = "by another"
        assert table.repair() == 1


# ---- what a child may become ------------------------------------------------------------------


def test_a_child_that_exits_without_closing_is_repaired(table: forkkv.Table) -> None:
    with Forked(lambda self: table.set("child", "value")) as child:
        child.finish()
    assert table.repair() == 1
    assert table["child"] == b"value"


def test_a_child_that_becomes_another_program_has_left_the_table(table: forkkv.Table) -> None:
    def work(self: Forked) -> None:
        table["child"] = "value"
        for inherited, own in enumerate(self.descriptors):
            os.dup2(own, inherited)
        code = "print('another program', flush=True); input()"
        os.execv(sys.executable, [sys.executable, "-c", code])

    with Forked(work) as child:
        assert child.hear() == "another program"
        assert participants(table)[child.pid] is False
        assert table.repair() == 1
        child.finish()


def daemonise(close_all: bool, keep: set[int]) -> None:
    """Goes on in a grandchild in a session of its own, if wanted with no descriptors but `keep`."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    for fd in set(range(3, 1024)) - keep if close_all else ():
        with contextlib.suppress(OSError):
            os.close(fd)


@pytest.mark.parametrize("close_all", [False, True])
def test_a_daemon_uses_the_handle_or_is_told_to_attach_again(
    table: forkkv.Table, table_name: str, close_all: bool
) -> None:
    def work(self: Forked) -> None:
        daemonise(close_all, set(self.descriptors))
        if close_all:
            others = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
            with pytest.raises(forkkv.TableUnusable, match="attach again in the child"):
                table.get("key")
            table.close()
            assert all(os.fstat(fd) for fd in others)  # closing it has closed none of these
        with forkkv.attach(table_name) if close_all else table as mine:
            mine["daemon"] = "value"
            self.tell(os.getpid())
            self.wait()

    with Forked(work) as parent:
        daemon = int(parent.hear())
        assert participants(table)[daemon] is True
        parent.finish()
        wait_until(lambda: daemon not in participants(table), "the daemon to close its table")
    assert table["daemon"] == b"value"


def test_a_child_without_a_free_descriptor_says_so_and_its_parent_goes_on(
    table: forkkv.Table, table_name: str
) -> None:
    def child_work(self: Forked, taken: list[int]) -> None:
        with pytest.raises(forkkv.TableUnusable, match="raise ulimit -n"):
            table["child"] = "value"
        for fd in taken:
            os.close(fd)
        with pytest.raises(forkkv.TableUnusable, match="attach again"):
            table.get("key")
        with forkkv.attach(table_name) as again:
            again["child"] = "attached again"
        table.close()

    def work(self: Forked) -> None:
        table["parent"] = "value"
        limit = max(int(fd.name) for fd in Path("/proc/self/fd").iterdir()) + 8
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        taken = []
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(os.dup(0))
        for _ in range(4):
            os.close(taken.pop())  # for the pipes to the child
        with Forked(lambda below: child_work(below, taken)) as child:
            assert table["parent"] == b"value"
            table["parent"] = "goes on"
            child.finish()

    with Forked(work) as parent:
        parent.finish()
    assert table.get_many(["parent", "child"]) == [b"goes on", b"attached again"]


# ---- multiprocessing --------------------------------------------------------------------------


def count_in_process(table: forkkv.Table, turns: int) -> None:
    with table:
        for _ in range(turns):
            table.incr("counter")
        table.incr(f"process {os.getpid()}")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process_of_multiprocessing_takes_a_table_as_argument(
    table: forkkv.Table, method: str
) -> None:
    context = multiprocessing.get_context(method)
    table.database = 3
    processes = [
        context.Process(target=count_in_process, args=(table, 100))  # type: ignore[attr-defined]
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(DEADLINE)
    assert [process.exitcode for process in processes] == [0, 0]
    assert table["counter"] == b"200"
    assert all(f"process {process.pid}" in table for process in processes)
    assert list(participants(table)) == [os.getpid()]


def test_a_pickled_table_is_its_name_and_database(table: forkkv.Table, table_name: str) -> None:
    table.database = 3
    table["key"] = "value"
    pickled = pickle.dumps(table)
    with pickle.loads(pickled) as again:
        assert (again.name, again.database, again["key"]) == (table_name, 3, b"value")
        assert len(table.participants()) == 2
    table.close()
    with pytest.raises(forkkv.TableClosed, match="cannot be pickled"):
        pickle.dumps(table)
    forkkv.unlink(table_name)
    with pytest.raises(forkkv.NoSuchTable):
        pickle.loads(pickled)


# ---- nothing is left --------------------------------------------------------------------------


def belongings(table: forkkv.Table, name: str) -> SimpleNamespace:
    """What a handle costs: in this process, and in the table."""
    return SimpleNamespace(
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        mappings=Path("/proc/self/maps").read_text().count(f"forkkv.{name}"),
        participants=participants(table),
        bytes=Path(f"/dev/shm/forkkv.{name}").stat().st_blocks * 512,
        repairs=table.facts()["repairs"],
    )


def test_a_thousand_handles_leave_nothing(table: forkkv.Table, table_name: str) -> None:
    with forkkv.attach(table_name) as other:  # the first takes memory, which stays the table's
        other["key"] = "value"
    before = belongings(table, table_name)
    for i in range(1000):
        with forkkv.attach(table_name) as other:
            other["key"] = str(i)
    after = belongings(table, table_name)
    assert after == before
    assert table["key"] == b"999"


def test_children_that_exit_without_closing_leave_nothing(
    table: forkkv.Table, table_name: str
) -> None:
    def come_and_go(i: int) -> None:
        with Forked(lambda self: table.set("key", str(i))) as child:
            child.finish()
        assert table.repair() == 1

    come_and_go(0)
    before = belongings(table, table_name)
    for i in range(1, 101):
        come_and_go(i)
    after = belongings(table, table_name)
    before.repairs += 100  # that is how they left
    assert after == before
    assert table["key"] == b"100"
