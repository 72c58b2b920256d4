"""The object behind a table's name: made whole or not at all, and removable in every state."""

import os
from pathlib import Path

import posix_ipc  # type: ignore[import-not-found]
import pytest

from forkkv import _core, objects

SIZE = _core.MEMORY_MIN


def make_object(name: str, content: bytes = b"", mode: int = 0o600) -> None:
    shared = posix_ipc.SharedMemory(objects.object_name(name), posix_ipc.O_CREX, mode=mode)
    os.fchmod(shared.fd, mode)
    os.write(shared.fd, content)
    shared.close_fd()


def open_files() -> set[str]:
    return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists()}


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a b", "ä", "x" * 101, "a\n", "a\0"])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a table"):
        objects.object_name(name)


def test_a_table_has_one_object_that_only_its_user_may_open(table_name: str) -> None:
    objects.create(table_name, SIZE).close()
    facts = Path(f"/dev/shm/forkkv.{table_name}").stat()
    assert facts.st_mode & 0o7777 == 0o600
    assert facts.st_uid == os.geteuid()


def test_create_refuses_a_name_that_is_taken(table_name: str) -> None:
    with_value = objects.create(table_name, SIZE)
    with_value["key"] = "value"
    with pytest.raises(_core.TableExists, match=f"forkkv unlink {table_name}"):
        objects.create(table_name, SIZE)
    assert with_value["key"] == b"value"


def test_create_takes_over_what_a_dead_creator_left(table_name: str) -> None:
    make_object(table_name)
    table = objects.create(table_name, SIZE)
    table["key"] = "value"
    assert objects.open_table(table_name)["key"] == b"value"


def test_create_that_fails_leaves_no_object(table_name: str) -> None:
    with pytest.raises(_core.Error, match="4 MiB"):
        objects.create(table_name, SIZE - 1)
    assert not objects.exists(table_name)


def test_create_and_open_keep_the_role(table_name: str) -> None:
    table = objects.create(table_name, SIZE, _core.MASTER)
    objects.open_table(table_name, _core.WORKER, 3)
    second = objects.open_table(table_name, _core.KEEPER)
    roles = {(each["role"], each["index"]) for each in table.participants()}
    assert roles == {("master", 0), ("keeper", 0)}
    second.close()


def test_no_descriptor_stays_open_behind(table_name: str) -> None:
    before = open_files()
    table = objects.create(table_name, SIZE)
    assert len([path for path in open_files() - before if table_name in path]) == 1
    table.close()
    assert open_files() == before


def test_open_says_how_to_make_a_missing_table(table_name: str) -> None:
    with pytest.raises(objects.NoSuchTable, match=f"forkkv serve --name {table_name}"):
        objects.open_table(table_name)


@pytest.mark.parametrize("content", [b"", b"not a table" * 1000], ids=["empty", "foreign"])
def test_open_refuses_what_is_no_table_and_unlink_removes_it(
    table_name: str, content: bytes
) -> None:
    make_object(table_name, content)
    with pytest.raises(_core.TableUnusable, match=f"table '{table_name}'.*forkkv unlink"):
        objects.open_table(table_name)
    objects.unlink(table_name)
    assert not objects.exists(table_name)


def test_open_refuses_an_object_that_others_may_write(table_name: str) -> None:
    objects.create(table_name, SIZE).close()
    path = Path(f"/dev/shm/forkkv.{table_name}")
    path.chmod(0o666)
    with pytest.raises(_core.TableUnusable, match="0600"):
        objects.open_table(table_name)
    path.chmod(0o600)


def test_unlink_tells_everybody_who_has_the_table_open(table_name: str) -> None:
    table = objects.create(table_name, SIZE)
    table["key"] = "value"
    objects.unlink(table_name)
    with pytest.raises(_core.TableRetired, match="attach again"):
        table.get("key")
    with pytest.raises(_core.TableRetired, match="attach again"):
        table["key"] = "other"


def test_a_crowded_table_refuses_one_more_and_can_be_unlinked(table_name: str) -> None:
    tables = [objects.create(table_name, 2 * SIZE)]
    with pytest.raises(_core.Error, match="participant entries are taken"):
        while True:
            tables.append(objects.open_table(table_name))
    assert len(tables) == tables[0].facts()["participants"]
    objects.unlink(table_name)
    with pytest.raises(_core.TableRetired):
        tables[-1].get("key")


def test_unlink_finishes_what_another_left_half_way(table_name: str) -> None:
    objects.create(table_name, SIZE).retire()
    with pytest.raises(_core.TableRetired, match=f"forkkv unlink {table_name}"):
        objects.open_table(table_name)
    objects.unlink(table_name)
    assert not objects.exists(table_name)


def test_unlink_of_a_missing_table_says_so(table_name: str) -> None:
    with pytest.raises(objects.NoSuchTable, match="there is no table"):
        objects.unlink(table_name)


def test_a_name_can_be_used_again_after_unlink(table_name: str) -> None:
    old = objects.create(table_name, SIZE)
    objects.unlink(table_name)
    new = objects.create(table_name, SIZE)
    new["key"] = "new"
    with pytest.raises(_core.TableRetired):
        old.get("key")
    assert new["key"] == b"new"
