"""Operations on many keys: all or nothing, as of one moment, and over a whole database."""

from collections.abc import Callable

import pytest

from forkkv import _core, objects


def test_get_many_keeps_the_order(table: _core.Table) -> None:
    table.set_many({"a": "1", "b": "2"})
    keys: list[bytes | str] = ["b", b"missing", "a", "b"]
    assert table.get_many(iter(keys)) == [b"2", None, b"1", b"2"]
    assert table.get_many([]) == []


def test_set_many_takes_a_mapping_or_pairs_and_the_last_wins(table: _core.Table) -> None:
    table.set_many({"a": "1"})
    pairs: list[tuple[bytes | str, str]] = [("b", "2"), (b"b", "3")]
    table.set_many(pair for pair in pairs)
    table.set_many([])
    assert table.get_many(["a", "b"]) == [b"1", b"3"]


def test_set_many_sets_one_expiry_for_all(table: _core.Table) -> None:
    table.set_many({"a": "1", "b": "2"}, 1000)
    assert table.count(0) == (2, 2)
    table.set_many({"a": "1", "b": "2"})
    assert table.count(0) == (2, 0)


def test_set_many_stores_all_or_nothing(table: _core.Table) -> None:
    table["a"] = "old"
    too_big = b"x" * (table.facts()["value_max"] + 1)
    with pytest.raises(_core.TooBig):
        table.set_many([("a", "new"), ("b", too_big)])
    with pytest.raises(TypeError):
        table.set_many([("a", "new"), (5, "x")])  # type: ignore[list-item]
    assert table["a"] == b"old"
    assert len(table) == 1


def test_many_keys_are_not_one_string(table: _core.Table) -> None:
    calls: list[Callable[..., object]] = [table.get_many, table.set_many]
    for call in calls:
        with pytest.raises(TypeError, match="put it into a list"):
            call("abc")
    with pytest.raises(ValueError, match="pairs"):
        table.set_many([("a", "b", "c")])  # type: ignore[list-item]


def test_scan_visits_every_key(table: _core.Table) -> None:
    keys = {f"key{i}".encode() for i in range(2000)}
    table.set_many(dict.fromkeys(keys, b"value"))
    seen: list[bytes] = []
    cursor, rounds = 0, 0
    while cursor or not rounds:
        cursor, some = table.scan(cursor, 100)
        seen += some
        rounds += 1
    assert sorted(seen) == sorted(keys)
    assert rounds > 5


def test_databases_are_apart(table_name: str, table: _core.Table) -> None:
    other = objects.open_table(table_name, database=5)
    table["key"] = "zero"
    other["key"] = "five"
    assert (table["key"], other["key"]) == (b"zero", b"five")
    assert table.count(_core.ALL_DATABASES) == (2, 0)
    table.clear()
    assert (len(table), len(other)) == (0, 1)
    table.database = 5
    assert table["key"] == b"five"
    assert table.scan(0, 10) == (0, [b"key"])


def test_clear_takes_another_database_or_all(table: _core.Table) -> None:
    for number in range(_core.DATABASES):
        table.database = number
        table["key"] = "value"
    table.clear(3)
    assert table.count(_core.ALL_DATABASES)[0] == _core.DATABASES - 1
    table.clear(_core.ALL_DATABASES)
    assert table.count(_core.ALL_DATABASES)[0] == 0


def test_scan_and_count_refuse_nonsense(table: _core.Table) -> None:
    with pytest.raises(ValueError, match="at least 1 key"):
        table.scan(0, 0)
    with pytest.raises(OverflowError):
        table.scan(-1, 10)
    with pytest.raises(ValueError, match="0 to 15"):
        table.count(17)
