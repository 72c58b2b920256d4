"""A server serves a table that nobody serves, repaired, or makes one; else it says why not."""

import os

import pytest

from forkkv import objects
from forkkv._core import MASTER
from forkkv.claim import adopt_table, create_table, living_master, release_table
from forkkv.config import Config
from forkkv.errors import ServeError

SIZE = 8 << 20


def test_there_is_nothing_to_adopt_at_first(table_name: str) -> None:
    config = Config(name=table_name, memory=SIZE)
    assert adopt_table(config) is None
    table = create_table(config)
    assert table.facts()["memory_limit_bytes"] == SIZE
    release_table(table, table_name, keep=False)
    assert not objects.exists(table_name)


def test_a_table_left_behind_is_adopted_with_its_keys(table_name: str) -> None:
    config = Config(name=table_name, memory=SIZE)
    first = create_table(config)
    first.set("k", "v")
    release_table(first, table_name, keep=True)
    second = adopt_table(config)
    assert second is not None
    assert second.get("k") == b"v"
    second.close()


def test_no_limit_given_fits_any_table(table_name: str) -> None:
    objects.create(table_name, SIZE).close()
    adopted = adopt_table(Config(name=table_name))
    assert adopted is not None
    adopted.close()


def test_another_limit_is_refused_with_the_remedies(table_name: str) -> None:
    objects.create(table_name, SIZE).close()
    with pytest.raises(ServeError, match=f"8.0 MiB.*drop --memory.*forkkv unlink {table_name}"):
        adopt_table(Config(name=table_name, memory=2 * SIZE))


def test_a_table_that_a_living_master_serves_is_refused(table_name: str) -> None:
    ready, done = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        table = objects.create(table_name, SIZE, role=MASTER)
        os.write(ready[1], b"1")
        os.read(done[0], 1)
        table.close()
        os._exit(0)
    os.read(ready[0], 1)
    with pytest.raises(ServeError, match=f"served already, by process {pid}"):
        adopt_table(Config(name=table_name))
    os.write(done[1], b"1")
    os.waitpid(pid, 0)
    for fd in ready + done:
        os.close(fd)
    adopted = adopt_table(Config(name=table_name))
    assert adopted is not None
    assert living_master(adopted) is None
    adopted.close()


def test_a_master_of_the_same_pid_is_another_one_all_the_same(table_name: str) -> None:
    """In two containers that share /dev/shm both masters may have pid 1."""
    served = objects.create(table_name, SIZE, role=MASTER)
    assert living_master(served) is None
    with pytest.raises(ServeError, match=f"served already, by process {os.getpid()}"):
        adopt_table(Config(name=table_name))
    served.close()


def test_a_table_that_appears_meanwhile_is_not_overwritten(table_name: str) -> None:
    config = Config(name=table_name, memory=SIZE)
    objects.create(table_name, SIZE).close()
    with pytest.raises(ServeError, match="at the same moment"):
        create_table(config)


def test_a_table_that_was_replaced_is_not_removed(table_name: str) -> None:
    table = create_table(Config(name=table_name, memory=SIZE))
    objects.unlink(table_name)
    objects.create(table_name, SIZE).close()
    release_table(table, table_name, keep=False)
    assert objects.exists(table_name)
