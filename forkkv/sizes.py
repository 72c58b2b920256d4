"""Amounts of memory as people write and read them: "64mb" is 64 * 1024 * 1024 bytes."""

import re

_UNITS = ("", "k", "m", "g", "t")
_SIZE = re.compile(r"(\d+)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)


def parse_size(text: str | int) -> int:
    """Bytes from "64mb", "1gb", "256kb" or a plain number; a unit is a power of 1024.

    Raises ValueError for anything else.

    >>> parse_size("64mb")
    67108864
    """
    match = _SIZE.fullmatch(str(text).strip())
    if match is None or isinstance(text, bool):
        raise ValueError(f"{text!r} is not a size; write 64mb, 1gb, 256kb or a number of bytes")
    number, unit = match.groups()
    return int(number) << 10 * _UNITS.index(unit.lower())


def format_size(n: int) -> str:
    """`n` bytes for people, in the largest unit that leaves at least 1.

    >>> format_size(67108864)
    '64.0 MiB'
    """
    if abs(n) < 1024:
        return f"{n} B"
    size = float(n)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if abs(size) < 1023.95:  # what would be shown as 1024.0 belongs to the next unit
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"
