"""Table as an object: what a dict does, opening, closing, and what its size allows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from forkkv import _core, objects

SIZE = _core.MEMORY_MIN  # of the fixture's table


def test_a_value_comes_back_as_bytes(table: _core.Table) -> None:
    table[b"key"] = b"value"
    assert table[b"key"] == b"value"
    assert table.get(b"key") == b"value"
    assert b"key" in table
    assert len(table) == 1


def test_a_missing_key_is_a_key_error_or_the_default(table: _core.Table) -> None:
    with pytest.raises(KeyError, match="missing"):
        table["missing"]
    with pytest.raises(KeyError, match="missing"):
        del table["missing"]
    assert table.get("missing") is None
    assert table.get("missing", 5) == 5
    assert "missing" not in table


def test_del_removes(table: _core.Table) -> None:
    table["key"] = "value"
    del table["key"]
    assert "key" not in table
    assert len(table) == 0


def test_a_closed_table_says_so_and_close_may_be_called_twice(table: _core.Table) -> None:
    table.close()
    table.close()
    assert table.closed
    calls: list[Callable[[], object]] = [
        lambda: table.get("key"),
        lambda: table.set("key", "value"),
        lambda: table.set_many({"key": "value"}),
        lambda: table.get_many(["key"]),
        lambda: "key" in table,
        lambda: len(table),
        table.facts,
        table.participants,
        table.check,
        table.heartbeat,
    ]
    for call in calls:
        with pytest.raises(_core.TableClosed, match="is closed in this process; attach again"):
            call()
    assert "closed" in repr(table)


def test_an_argument_that_closes_the_table_does_no_harm(table: _core.Table) -> None:
    class Closing:
        def __float__(self) -> float:
            table.close()
            return 5.0

    with pytest.raises(_core.TableClosed):
        table.set("key", "value", ttl=Closing())  # type: ignore[arg-type]


def test_a_table_is_opened_once(table: _core.Table) -> None:
    with pytest.raises(ValueError, match="open already"):
        table.__init__(0)  # type: ignore[misc]
    with pytest.raises(ValueError, match="__init__"):
        _core.Table.__new__(_core.Table).get("key")


def test_a_role_is_one_of_four(table: _core.Table) -> None:
    with pytest.raises(ValueError, match="MASTER, WORKER, KEEPER or ATTACHED"):
        table.enroll(9, 0)
    with pytest.raises(ValueError, match="counts from 0"):
        table.enroll(_core.WORKER, -1)


def test_a_descriptor_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "plain").open("w+b") as file, pytest.raises(_core.TableUnusable):
        _core.Table(file.fileno())
    with pytest.raises(OSError):
        _core.Table(-1)


@pytest.mark.parametrize("number", [-1, 16, 2**40])
def test_a_database_is_0_to_15(table: _core.Table, table_name: str, number: int) -> None:
    with pytest.raises(ValueError, match="0 to 15"):
        table.database = number
    if number < 2**31:
        with pytest.raises(ValueError, match="0 to 15"):
            objects.open_table(table_name, database=number)
    assert table.database == 0


@pytest.mark.parametrize("key", [b"", b"k" * 65536])
def test_a_key_outside_the_limits_is_refused(table: _core.Table, key: bytes) -> None:
    calls: list[Callable[[], object]] = [
        lambda: table.get(key),
        lambda: table.set(key, "value"),
        lambda: table.delete(key),
        lambda: table.get_many(["a", key]),
        lambda: table.set_many([("a", "b"), (key, "value")]),
        lambda: key in table,
    ]
    for call in calls:
        with pytest.raises(_core.TooBig, match="a key has 1 to 65535 bytes"):
            call()
    assert len(table) == 0


def test_a_value_may_have_value_max_bytes_and_no_more(table: _core.Table) -> None:
    most = table.facts()["value_max"]
    table["key"] = b"x" * most
    assert table["key"] == b"x" * most
    with pytest.raises(_core.TooBig, match=f"at most {most} bytes"):
        table["other"] = b"x" * (most + 1)
    with pytest.raises(_core.TooBig, match=f"at most {most} bytes"):
        table.append("key", b"x")
    assert len(table["key"]) == most


def test_a_full_table_refuses_and_changes_nothing_until_there_is_room(table: _core.Table) -> None:
    stored = 0
    with pytest.raises(_core.TableFull, match=f"limit of {SIZE} bytes"):
        while True:
            table[f"key{stored}"] = b"x" * 1000
            stored += 1
    assert len(table) == stored
    assert stored * 1000 > SIZE / 2
    assert table.facts()["memory_used_bytes"] <= SIZE
    assert f"key{stored}" not in table
    for i in range(stored // 2):
        del table[f"key{i}"]
    table[f"key{stored}"] = b"x" * 1000
    assert table[f"key{stored}"] == b"x" * 1000


def test_overwriting_a_few_keys_goes_on_for_ever(table: _core.Table) -> None:
    for i in range(20 * SIZE // 10_000):
        table[f"key{i % 50}"] = i.to_bytes(4, "big") * 2500
    assert len(table) == 50
    assert table.facts()["memory_used_bytes"] <= SIZE
