"""Operations on one key: each atomic, each saying whether it happened; and expiry."""

import math
import time

import pytest
from conftest import wait_until

from forkkv import _core

FAR = time.time() + 1e6


def test_nx_stores_only_what_is_absent(table: _core.Table) -> None:
    assert table.set("key", "first", nx=True) is True
    assert table.set("key", "second", nx=True) is False
    assert table["key"] == b"first"


def test_xx_stores_only_what_is_present(table: _core.Table) -> None:
    assert table.set("key", "first", xx=True) is False
    assert "key" not in table
    table["key"] = "first"
    assert table.set("key", "second", xx=True) is True
    assert table["key"] == b"second"


def test_set_drops_the_expiry_unless_told_to_keep_it(table: _core.Table) -> None:
    table.set("key", "value", 1000)
    table.set("key", "other", keep_ttl=True)
    assert 990 < (table.ttl("key") or 0) <= 1000
    table.set(key="key", value="third")
    assert table.ttl("key") is None


def test_get_set_swaps(table: _core.Table) -> None:
    assert table.get_set("key", "first") is None
    table.expire("key", 1000)
    assert table.get_set("key", "second") == b"first"
    assert table["key"] == b"second"
    assert table.ttl("key") is None


def test_delete_and_pop_value_say_what_was_there(table: _core.Table) -> None:
    assert table.delete("key") is False
    assert table.pop_value("key") is None
    table["key"] = "value"
    assert table.pop_value("key") == b"value"
    table["key"] = "value"
    assert table.delete("key") is True
    assert len(table) == 0


def test_incr_counts_from_zero_and_keeps_the_expiry(table: _core.Table) -> None:
    assert table.incr("key") == 1
    table.expire("key", 1000)
    assert table.incr("key", 41) == 42
    assert table.incr("key", -50) == -8
    assert table["key"] == b"-8"
    assert table.ttl("key") is not None


@pytest.mark.parametrize("value", [b"", b"x", b"1.5", b" 1", b"1 ", b"+", b"9223372036854775808"])
def test_incr_refuses_what_is_no_integer(table: _core.Table, value: bytes) -> None:
    table["key"] = value
    with pytest.raises(_core.NotAnInteger, match="64-bit"):
        table.incr("key")
    assert table["key"] == value


@pytest.mark.parametrize("delta", [1, 2**63 - 1, 2**63, -(2**64)])
def test_incr_refuses_a_sum_beyond_64_bits(table: _core.Table, delta: int) -> None:
    table["key"] = str(2**63 - 1)
    with pytest.raises(_core.NotAnInteger, match="64-bit"):
        table.incr("key", delta)
    assert table["key"] == str(2**63 - 1).encode()


def test_append_grows_and_keeps_the_expiry(table: _core.Table) -> None:
    assert table.append("key", b"ab") == 2
    table.expire("key", 1000)
    assert table.append("key", "cd") == 4
    assert table["key"] == b"abcd"
    assert table.ttl("key") is not None


def test_set_says_which_arguments_do_not_go_together(table: _core.Table) -> None:
    with pytest.raises(ValueError, match="nx and xx"):
        table.set("key", "value", nx=True, xx=True)
    with pytest.raises(ValueError, match="ttl and keep_ttl"):
        table.set("key", "value", ttl=5, keep_ttl=True)
    with pytest.raises(TypeError, match="no argument 'ex'"):
        table.set("key", "value", ex=5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'key' twice"):
        table.set("key", "value", key="key")  # type: ignore[misc]
    with pytest.raises(TypeError, match="a key and a value"):
        table.set("key")  # type: ignore[call-arg]


def test_an_expired_key_is_gone(table: _core.Table) -> None:
    table.set("key", "value", ttl=0.03)
    wait_until(lambda: table.get("key") is None, "expiry")
    assert "key" not in table
    assert table.get_many(["key"]) == [None]
    assert table.delete("key") is False
    with pytest.raises(KeyError):
        table.ttl("key")


def test_sweep_removes_expired_keys(table: _core.Table) -> None:
    table.set_many({f"key{i}": "value" for i in range(100)}, 0.01)
    table["stays"] = "value"
    swept = 0

    def all_swept() -> bool:
        nonlocal swept
        swept += table.sweep(1000)[0]
        return len(table) == 1

    wait_until(all_swept, "sweep")
    assert swept == 100
    assert table.count(0) == (1, 0)


def test_ttl_is_what_was_set(table: _core.Table) -> None:
    table["key"] = "value"
    assert table.ttl("key") is None
    assert table.expire("key", 1000) is True
    assert 990 < (table.ttl("key") or 0) <= 1000
    assert table.expire_at("key", FAR) is True
    assert math.isclose((table.ttl("key") or 0) + time.time(), FAR, abs_tol=5)
    assert table.count(0) == (1, 1)


def test_persist_removes_the_expiry(table: _core.Table) -> None:
    table.set("key", "value", ttl=1000)
    assert table.persist("key") is True
    assert table.persist("key") is False
    assert table.ttl("key") is None
    assert table.count(0) == (1, 0)


@pytest.mark.parametrize("at", [0, -5, 1, -math.inf])
def test_a_time_that_is_past_deletes(table: _core.Table, at: float) -> None:
    table["key"] = "value"
    assert table.expire_at("key", at) is True
    assert "key" not in table


def test_a_missing_key_has_no_expiry(table: _core.Table) -> None:
    assert table.expire("key", 5) is False
    assert table.expire_at("key", FAR) is False
    assert table.persist("key") is False
    with pytest.raises(KeyError, match="key"):
        table.ttl("key")
