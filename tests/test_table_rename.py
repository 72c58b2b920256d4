"""A value under another name, through the local door."""

import pytest

from forkkv import _core


def test_rename_takes_the_value_and_its_expiry_along(table: _core.Table) -> None:
    table.set("a", "1", ttl=1000)
    table["b"] = "2"
    assert table.rename("a", "b") is True
    assert table.get("a") is None
    assert table["b"] == b"1"
    assert table.ttl("b") is not None


def test_rename_to_a_taken_name_happens_only_without_nx(table: _core.Table) -> None:
    table.set_many({"a": "1", "b": "2"})
    assert table.rename("a", "b", True) is False
    assert table.get_many(["a", "b"]) == [b"1", b"2"]
    assert table.rename("a", "c", True) is True


def test_copy_leaves_the_source_and_spares_what_is_there(table: _core.Table) -> None:
    table.set_many({"a": "1", "b": "2"})
    assert table.copy("a", "b") is False
    assert table.copy("a", "b", True) is True
    assert table.copy("a", "c") is True
    assert table.get_many(["a", "b", "c"]) == [b"1", b"1", b"1"]


def test_what_is_not_there_is_a_key_error_that_names_it(table: _core.Table) -> None:
    with pytest.raises(KeyError, match="nothing"):
        table.rename("nothing", "b")
    with pytest.raises(KeyError, match="nothing"):
        table.copy("nothing", "b")
    with pytest.raises(TypeError, match="rename"):
        table.rename("a")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="key"):
        table.copy("a", 5)  # type: ignore[arg-type]
