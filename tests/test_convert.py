"""How Python objects become keys, values and times: which are taken, and which refused."""

import math
from collections.abc import Callable

import pytest

from forkkv import _core


@pytest.mark.parametrize(
    "value", [bytearray(b"value"), memoryview(b"value"), memoryview(b"xvaluex")[1:-1]]
)
def test_a_buffer_is_a_value(table: _core.Table, value: bytearray | memoryview) -> None:
    table["key"] = value
    table.append("key", value)
    table.set_many({"other": value})
    assert table.get_many(["key", "other"]) == [b"valuevalue", b"value"]


def test_a_subclass_of_bytes_is_a_key_and_a_value(table: _core.Table) -> None:
    class Special(bytes):
        pass

    table[Special(b"key")] = Special(b"value")
    assert table[b"key"] == b"value"


def test_a_str_is_its_utf8_bytes(table: _core.Table) -> None:
    table["schlüssel"] = "wert €"
    assert table["schlüssel".encode()] == "wert €".encode()


@pytest.mark.parametrize("value", [b"", b"a", bytes(range(256)), b"\0" * 5000, b"x" * 300_000])
def test_any_bytes_are_a_value(table: _core.Table, value: bytes) -> None:
    table[b"key"] = value
    assert table[b"key"] == value


@pytest.mark.parametrize("key", [b"k", b"\0", b"\r\n \xff", b"k" * 65535])
def test_any_bytes_are_a_key(table: _core.Table, key: bytes) -> None:
    table[key] = b"value"
    assert table[key] == b"value"
    assert table.scan(0, 10) == (0, [key])


@pytest.mark.parametrize("wrong", [5, None, 1.5, ["key"], bytearray(b"key")])
def test_a_key_is_bytes_or_str(table: _core.Table, wrong: object) -> None:
    calls: list[Callable[..., object]] = [table.get, table.delete, table.incr, table.ttl]
    for call in [*calls, table.__getitem__, table.__contains__]:
        with pytest.raises(TypeError, match="a key is bytes or str"):
            call(wrong)


@pytest.mark.parametrize("wrong", [5, None, 1.5, ["value"]])
def test_a_value_is_bytes_str_or_a_buffer(table: _core.Table, wrong: object) -> None:
    calls: list[Callable[..., object]] = [table.set, table.append, table.get_set]
    for call in [*calls, table.__setitem__]:
        with pytest.raises(TypeError, match="a value is bytes, str or a buffer"):
            call("key", wrong)
    assert len(table) == 0


def test_a_buffer_with_gaps_is_refused(table: _core.Table) -> None:
    with pytest.raises(BufferError):
        table["key"] = memoryview(b"abcdef")[::2]


def test_a_str_that_has_no_utf8_form_is_refused(table: _core.Table) -> None:
    with pytest.raises(UnicodeEncodeError):
        table.get("\ud800")


def test_wrong_argument_counts_are_refused(table: _core.Table) -> None:
    calls: list[Callable[..., object]] = [table.get, table.incr, table.expire, table.append]
    for call in calls:
        for arguments in [(), ("a", "b", "c")]:
            with pytest.raises(TypeError, match="arguments"):
                call(*arguments)


@pytest.mark.parametrize("ttl", [0, -1, -0.5, math.nan, math.inf, 1e300])
def test_a_ttl_that_means_nothing_is_refused(table: _core.Table, ttl: float) -> None:
    table["key"] = "value"
    calls: list[Callable[[], object]] = [
        lambda: table.set("key", "other", ttl=ttl),
        lambda: table.expire("key", ttl),
        lambda: table.set_many({"key": "other"}, ttl),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"persist\(\)"):
            call()
    assert table["key"] == b"value"
    assert table.ttl("key") is None


@pytest.mark.parametrize("at", [math.nan, math.inf, 1e300])
def test_a_time_that_cannot_come_is_refused(table: _core.Table, at: float) -> None:
    table["key"] = "value"
    with pytest.raises(ValueError, match="not a time that can come"):
        table.expire_at("key", at)
