"""Redis glob patterns as compiled regular expressions over bytes.

`*` any run, `?` any byte, `[a-z]` and `[^a]` classes, `\\x` the byte x itself. All but the last run
are atomic groups, so a hostile pattern such as `a*a*a*b` cannot make matching blow up.
"""

import re


def compile_pattern(pattern: bytes, ignore_case: bool = False) -> re.Pattern[bytes]:
    """The pattern, to be used with fullmatch()."""
    runs = [b""]  # what stands between the stars
    position = 0
    while position < len(pattern):
        if pattern[position] == ord("*"):
            runs.append(b"")
            position += 1
        else:
            part, position = _one_byte(pattern, position)
            runs[-1] += part
    return re.compile(_join_runs(runs), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _join_runs(runs: list[bytes]) -> bytes:
    """The first place where a run between two stars fits is as good as any later one."""
    if len(runs) == 1:
        return runs[0]
    middle = b"".join(b"(?>.*?%s)" % run for run in runs[1:-1] if run)
    return runs[0] + middle + b".*" + runs[-1]


def _one_byte(pattern: bytes, position: int) -> tuple[bytes, int]:
    """What matches one byte, as a regular expression, and the position behind it."""
    byte = pattern[position : position + 1]
    if byte == b"?":
        return b".", position + 1
    if byte == b"[":
        return _byte_class(pattern, position + 1)
    if byte == b"\\" and position + 1 < len(pattern):
        return re.escape(pattern[position + 1 : position + 2]), position + 2
    return re.escape(byte), position + 1


def _byte_class(pattern: bytes, position: int) -> tuple[bytes, int]:
    """A class from behind its `[`. One that is never closed ends with the pattern."""
    negated = pattern[position : position + 1] == b"^"
    position += negated
    members: set[int] = set()
    while position < len(pattern) and pattern[position] != ord("]"):
        if pattern[position] == ord("\\") and position + 1 < len(pattern):
            members.add(pattern[position + 1])
            position += 2
        elif pattern[position + 1 : position + 2] == b"-" and position + 2 < len(pattern):
            low, high = sorted((pattern[position], pattern[position + 2]))
            members.update(range(low, high + 1))
            position += 3
        else:
            members.add(pattern[position])
            position += 1
    return _any_of(members, negated), position + 1


def _any_of(members: set[int], negated: bool) -> bytes:
    if not members:
        return b"." if negated else b"(?!)"
    return b"[%s%s]" % (b"^" * negated, b"".join(b"\\x%02x" % each for each in sorted(members)))
