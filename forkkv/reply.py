"""Python values to the bytes of RESP2 or RESP3."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Reply: TypeAlias = "bool | int | float | str | bytes | Status | Verbatim | Error | Nested | None"
Nested: TypeAlias = "Sequence[Reply] | Mapping[str, Reply] | frozenset[Status]"


@dataclass(frozen=True)
class Status:
    """A simple string, such as OK."""

    text: str


@dataclass(frozen=True)
class Verbatim:
    """Text for people: a bulk string in RESP2."""

    text: str


class Error(Exception):
    """An error reply; the text begins with its code: "ERR syntax error"."""


QUOTED_MAX = 128  # bytes of a client's own words that an error text repeats
OK = Status("OK")
SYNTAX_ERROR = Error("ERR syntax error")
NOT_AN_INTEGER = Error("ERR value is not an integer or out of range")


def encode(value: Reply, protocol: int) -> bytes:
    """The reply as bytes. `protocol` is 2 or 3; RESP2 has no maps, sets, booleans or doubles."""
    match value:
        case None:
            return b"_\r\n" if protocol == 3 else b"$-1\r\n"
        case bool():
            return (b"#t\r\n" if value else b"#f\r\n") if protocol == 3 else b":%d\r\n" % value
        case int():
            return b":%d\r\n" % value
        case float():
            return b",%s\r\n" % _double(value) if protocol == 3 else _bulk(_double(value))
        case str() | bytes():
            return _bulk(_bytes(value))
        case Status():
            return b"+%s\r\n" % _line(value.text)
        case Error():
            return b"-%s\r\n" % _line(str(value))
        case Verbatim():
            text = _bytes(value.text)
            return b"=%d\r\ntxt:%s\r\n" % (len(text) + 4, text) if protocol == 3 else _bulk(text)
        case _:
            return _encode_nested(value, protocol)


def quoted(word: bytes, size: int = QUOTED_MAX) -> str:
    """A client's word as error texts repeat it: cut, and ended by a zero byte as in Redis."""
    return word.partition(b"\0")[0][:size].decode("utf-8", "surrogateescape")


def _encode_nested(value: Nested, protocol: int) -> bytes:
    items: list[Reply]
    if isinstance(value, Mapping):
        items = [part for pair in value.items() for part in pair]
        head = b"%%%d\r\n" % len(value) if protocol == 3 else b"*%d\r\n" % len(items)
    else:
        items = list(value)
        mark = b"~" if protocol == 3 and isinstance(value, frozenset) else b"*"
        head = b"%s%d\r\n" % (mark, len(items))
    return head + b"".join(encode(item, protocol) for item in items)


def _bulk(data: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(data), data)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


def _line(text: str) -> bytes:
    """One line whatever the text: a client's own bytes may be quoted in an error."""
    return _bytes(text).replace(b"\r", b" ").replace(b"\n", b" ")


def _double(value: float) -> bytes:
    return (str(int(value)) if value.is_integer() else repr(value)).encode()
