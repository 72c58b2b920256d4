"""attach(): a table as a mapping, shared by threads, forked and spawned processes."""

import doctest
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, MutableMapping
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier

import pytest
from conftest import DEADLINE

import forkkv
from forkkv import _core
from forkkv.clients import local

PROCESSES = 4
ROUNDS = 500


@pytest.fixture
def table(table_name: str) -> Iterator[local.Table]:
    with forkkv.attach(table_name, create=True, memory="4mb") as attached:
        yield attached


def finish(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.join(DEADLINE)
        process.kill()
    assert [process.exitcode for process in processes] == [0] * len(processes)


def run_processes(method: str, target: Callable[..., None], *arguments: object) -> None:
    """Runs `target(*arguments, barrier)` in several processes that begin at the same moment."""
    context = multiprocessing.get_context(method)
    barrier = context.Barrier(PROCESSES)
    processes: list[BaseProcess] = [
        context.Process(target=target, args=(*arguments, barrier))  # type: ignore[attr-defined]
        for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    finish(processes)


# ---- attach -----------------------------------------------------------------------------------


def test_the_examples_in_the_docstrings_are_true() -> None:
    assert doctest.testmod(local).failed == 0


def test_attach_opens_what_create_made(table: local.Table, table_name: str) -> None:
    table["key"] = "value"
    with forkkv.attach(table_name) as other, forkkv.attach(table_name, create=True) as third:
        assert other["key"] == third["key"] == b"value"
        assert third.facts()["memory_limit_bytes"] == 4 << 20
    assert other.closed


def test_attach_says_how_to_make_a_missing_table(table_name: str) -> None:
    with pytest.raises(forkkv.NoSuchTable, match=f'attach\\("{table_name}", create=True\\)'):
        forkkv.attach(table_name)


@pytest.mark.parametrize("options", [{"memory": "lots"}, {"database": 16}, {"memory": "1kb"}])
def test_attach_refuses_bad_options_and_makes_nothing(
    table_name: str, options: dict[str, str]
) -> None:
    with pytest.raises((ValueError, forkkv.Error)):
        forkkv.attach(table_name, create=True, **options)  # type: ignore[arg-type]
    with pytest.raises(forkkv.NoSuchTable):
        forkkv.attach(table_name)


def test_attach_takes_a_database(table: local.Table, table_name: str) -> None:
    with forkkv.attach(table_name, database=3) as other:
        other["key"] = "three"
    assert b"key" not in table
    assert table.count(3) == (1, 0)


def test_a_retired_table_says_to_attach_again(table: local.Table, table_name: str) -> None:
    forkkv.unlink(table_name)
    with pytest.raises(forkkv.TableRetired, match=f"'{table_name}'.*attach again"):
        table.get("key")
    with forkkv.attach(table_name, create=True, memory="4mb") as new:
        new["key"] = "value"


def test_repr_names_the_table(table: local.Table, table_name: str) -> None:
    assert repr(table) == f"<Table '{table_name}' database 0>"


def create_and_count(name: str, barrier: Barrier) -> None:
    barrier.wait(DEADLINE)
    with forkkv.attach(name, create=True, memory="4mb") as table:
        table.incr("attached")


def test_of_many_that_create_at_once_all_get_the_same_table(table_name: str) -> None:
    run_processes("fork", create_and_count, table_name)
    with forkkv.attach(table_name) as table:
        assert table["attached"] == str(PROCESSES).encode()


# ---- the mapping ------------------------------------------------------------------------------


def test_it_is_a_mutable_mapping(table: local.Table) -> None:
    assert isinstance(table, MutableMapping)
    table.update({b"a": b"1", b"b": b"2"})
    table.update(c=b"3")
    assert table == {b"a": b"1", b"b": b"2", b"c": b"3"}
    assert sorted(table) == sorted(table.keys()) == [b"a", b"b", b"c"]
    assert sorted(table.items()) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
    assert sorted(table.values()) == [b"1", b"2", b"3"]
    assert b"2" in table.values()
    assert (b"a", b"1") in table.items()
    table.clear()
    assert not table
    assert list(table) == []
    assert list(table.items()) == []


def test_get_and_item_access_are_the_extension_s_own() -> None:
    for name in ("get", "__getitem__", "__setitem__", "__contains__", "__len__", "clear"):
        assert getattr(local.Table, name) is getattr(_core.Table, name)


def test_more_keys_than_one_batch_are_iterated(table: local.Table) -> None:
    pairs = {f"key{i}".encode(): str(i).encode() for i in range(3000)}
    table.set_many(pairs)
    assert dict(table.items()) == pairs


def test_keys_that_go_while_iterating_are_left_out(table: local.Table) -> None:
    table.set_many({f"key{i}": "value" for i in range(3000)})
    seen = 0
    for key, value in table.items():
        assert value == b"value"
        seen += 1
        if seen == 1:
            table.clear()
            table[key] = value
    assert 1 <= seen < 3000


def test_pop_and_popitem_take_out(table: local.Table) -> None:
    table["key"] = "value"
    assert table.pop("key") == b"value"
    assert table.pop("key", None) is None
    with pytest.raises(KeyError, match="key"):
        table.pop("key")
    table["other"] = "value"
    assert table.popitem() == (b"other", b"value")
    with pytest.raises(KeyError, match="empty"):
        table.popitem()


def test_setdefault_stores_once(table: local.Table) -> None:
    assert table.setdefault("key", "first") == b"first"
    assert table.setdefault("key", "second") == b"first"
    assert table.setdefault("other", bytearray(b"buffer")) == b"buffer"


# ---- threads, fork, spawn ---------------------------------------------------------------------


def count_up(table: local.Table, who: int) -> None:
    for i in range(ROUNDS):
        table.incr("counter")
        table[f"{who} {i % 10}"] = "x" * (i % 100)


def test_threads_share_one_handle(table: local.Table) -> None:
    threads = [threading.Thread(target=count_up, args=(table, who)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert table["counter"] == str(4 * ROUNDS).encode()
    assert len(table) == 1 + 4 * 10
    assert len(table.participants()) == 1


def in_forked_child(work: Callable[[], object]) -> None:
    """Runs `work` in a child made with os.fork(); fails if it raises."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_a_forked_child_is_a_participant_of_its_own(table: local.Table) -> None:
    table["parent"] = "value"

    def work() -> None:
        assert table["parent"] == b"value"
        table["child"] = "value"
        pids = sorted(each["pid"] for each in table.participants())
        assert pids == sorted([os.getpid(), os.getppid()])

    in_forked_child(work)
    assert table["child"] == b"value"
    table["parent"] = "goes on"
    assert table.repair() <= 1
    [mine] = table.participants()
    assert mine["pid"] == os.getpid()


def test_closing_in_a_forked_child_leaves_the_parent_s_handle(table: local.Table) -> None:
    in_forked_child(table.close)
    table["key"] = "value"
    assert table["key"] == b"value"
    assert [each["pid"] for each in table.participants()] == [os.getpid()]


def test_a_child_that_never_uses_the_table_takes_no_entry(table: local.Table) -> None:
    in_forked_child(lambda: None)
    assert len(table.participants()) == 1


def count_up_inherited(table: local.Table, barrier: Barrier) -> None:
    barrier.wait(DEADLINE)
    count_up(table, os.getpid())


def count_up_attached(name: str, barrier: Barrier) -> None:
    barrier.wait(DEADLINE)
    with forkkv.attach(name) as table:
        count_up(table, os.getpid())


def test_forked_processes_use_the_inherited_handle(table: local.Table) -> None:
    run_processes("fork", count_up_inherited, table)
    assert table["counter"] == str(PROCESSES * ROUNDS).encode()
    assert len(table) == 1 + PROCESSES * 10


def test_spawned_processes_attach_by_name(table: local.Table, table_name: str) -> None:
    run_processes("spawn", count_up_attached, table_name)
    assert table["counter"] == str(PROCESSES * ROUNDS).encode()
    assert len(table.participants()) == 1


def claim(name: str, barrier: Barrier) -> None:
    with forkkv.attach(name) as table:
        mine = str(os.getpid()).encode()
        barrier.wait(DEADLINE)
        if table.setdefault("owner", mine) == mine:
            table.incr("winners")


def test_of_many_setdefaults_one_wins(table: local.Table, table_name: str) -> None:
    run_processes("fork", claim, table_name)
    assert table["winners"] == b"1"


def swap_pairs(name: str, barrier: Barrier) -> None:
    """Writes two keys at once and reads them at once: they must always be equal, and whole."""
    with forkkv.attach(name) as table:
        barrier.wait(DEADLINE)
        for i in range(ROUNDS):
            value = f"{os.getpid()}.{i} ".encode() * (1 + i % 50)
            table.set_many({"left": value, "right": value})
            left, right = table.get_many(["left", "right"])
            assert left is not None
            assert left == right
            assert left == left[: left.index(b" ") + 1] * left.count(b" ")


def test_several_keys_are_written_and_read_as_one(table: local.Table, table_name: str) -> None:
    run_processes("fork", swap_pairs, table_name)
    assert table["left"] == table["right"]
