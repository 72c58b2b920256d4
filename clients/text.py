"""Commands and replies as text, in redis-cli's notation: a line to arguments, a reply to lines.

One difference: a status inside an array is quoted, as hiredis does not tell it from a value.
"""

from __future__ import annotations

import re

from hiredis import ReplyError

from .connection import Reply, Status

# A bare part, then at most one quoted part, then white space or the end, as redis-cli has it.
_WORD = re.compile(
    rb"""([^\s"']*)
         (?: "((?:\\.|[^"\\])*)" | '((?:\\'|\\(?!')|[^'\\])*)' )?
         (?=\s|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_SPACE = re.compile(rb"\s*")
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}

_SPECIAL = {
    **{control[0]: "\\" + letter.decode() for letter, control in _CONTROLS.items()},
    ord("\\"): "\\\\",
    ord('"'): '\\"',
}
_QUOTED = [
    _SPECIAL.get(byte, chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in range(256)
]


def split_line(line: bytes) -> list[bytes]:
    r"""Return the arguments on a line; "..." knows \n \r \t \b \a \xHH, '...' only \'.

    Raises ValueError for a quote that is not closed, or not followed by white space.
    """
    arguments = []
    line = line.strip()
    position = 0
    while position < len(line):
        word = _WORD.match(line, position)
        if word is None:
            raise ValueError("invalid argument(s): close each quote, and put a space after it")
        bare, double, single = word.groups(b"")
        arguments.append(bare + _ESCAPE.sub(_unescape, double) + single.replace(rb"\'", b"'"))
        position = _end_of_space(line, word.end())
    return arguments


def _end_of_space(line: bytes, position: int) -> int:
    space = _SPACE.match(line, position)
    return space.end() if space else position


def _unescape(escape: re.Match[bytes]) -> bytes:
    hexadecimal, letter = escape.groups()
    return bytes.fromhex(hexadecimal.decode()) if hexadecimal else _CONTROLS.get(letter, letter)


def quote(value: bytes) -> str:
    """Return `value` in double quotes, all but printable ASCII escaped."""
    return '"' + "".join(map(_QUOTED.__getitem__, value)) + '"'


def format_reply(reply: Reply, indent: str = "") -> str:
    """Return `reply` for a person; the lines after the first start with `indent`."""
    if isinstance(reply, Status):
        return reply.decode(errors="backslashreplace")
    if isinstance(reply, bytes):
        return quote(reply)
    if reply is None:
        return "(nil)"
    if isinstance(reply, list):
        return _format_list(reply, indent)
    if isinstance(reply, dict):
        return _format_map(reply, indent)
    return _format_scalar(reply)


def _format_scalar(reply: int | float | ReplyError) -> str:
    if isinstance(reply, bool):
        return _boolean(reply)
    if isinstance(reply, ReplyError):
        return f"(error) {reply}"
    return f"(integer) {reply}" if isinstance(reply, int) else f"(double) {reply}"


def _boolean(reply: bool) -> str:
    return "(true)" if reply else "(false)"


def _format_list(items: list[Reply], indent: str) -> str:
    if not items:
        return "(empty array)"
    width = len(str(len(items)))
    inner = indent + " " * (width + 2)
    rows = (f"{n:>{width}}) {format_reply(item, inner)}" for n, item in enumerate(items, 1))
    return f"\n{indent}".join(rows)


def _format_map(pairs: dict[Reply, Reply], indent: str) -> str:
    if not pairs:
        return "(empty hash)"
    width = len(str(len(pairs)))
    inner = indent + " " * (width + 2)
    rows = (
        f"{n:>{width}}# {format_reply(key, inner)} => {format_reply(value, inner)}"
        for n, (key, value) in enumerate(pairs.items(), 1)
    )
    return f"\n{indent}".join(rows)


def raw_reply(reply: Reply) -> bytes:
    """Return `reply` for a program: values as they are, one element of an array on a line."""
    if isinstance(reply, bytes):
        return reply
    if reply is None:
        return b""
    if isinstance(reply, list):
        return b"\n".join(map(raw_reply, reply))
    if isinstance(reply, dict):
        return b"\n".join(raw_reply(key) + b" " + raw_reply(reply[key]) for key in reply)
    return (_boolean(reply) if isinstance(reply, bool) else str(reply)).encode()
