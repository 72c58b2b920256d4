"""docs/lab.md as a session: what is typed in it, and what must come out.

In a `console` block a line that begins with $ is typed, with the lines behind it that begin with >.
The others are what comes out: `...` stands for anything and N for a number. A block in which
nothing is typed goes on with what came out last. The words behind `console` are what it needs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "lab.md"
NUMBER = r"[-+]?\d[\d,.]*"
SPACE = r"\s+"
SERVER_SIDE = re.compile(r"\s*(in [AB]: )?worker-|(reads|writes|accepts|closes) per command")


@dataclass(frozen=True)
class Step:
    """A command of the page, and one piece of what it must say; `command` is empty for more."""

    command: str
    expected: str
    needs: tuple[str, ...]

    @property
    def title(self) -> str:
        """What a test of it is called."""
        lines = [line for line in self.expected.splitlines() if line.strip(".")]
        said = self.command.replace("\\\n", "") or f"and {(lines or ['more'])[0]}"
        return " ".join(said.split())


def steps(text: str) -> Iterator[Step]:
    """What is done in the page, in order."""
    for needs, block in re.findall(r"^```console([^\n]*)\n(.*?)^```", text, re.M | re.S):
        before, *typed = re.split(r"^\$ ", block, flags=re.M)
        if before:
            yield Step("", before, tuple(needs.split()))
        for each in typed:
            lines = each.splitlines(keepends=True)
            end = next((i for i, line in enumerate(lines) if not line.endswith("\\\n")))
            command = "".join(line.removeprefix(">") for line in lines[: end + 1])
            expected = "".join(lines[end + 1 :])
            yield Step(command.strip(), expected, tuple(needs.split()))


def files(text: str) -> dict[str, str]:
    """The files that the page asks for: a block whose first line is a comment with the name."""
    return dict(re.findall(r"^```nginx\n# (\S+)\n(.*?)^```", text, re.M | re.S))


def pattern(expected: str) -> str:
    """A regular expression for what must come out. How lines are wrapped is of no account."""
    runs: list[list[str]] = [[]]
    for word in expected.split():
        if word == "...":
            runs.append([])
        else:
            pieces = [re.sub(r"\bN\b", lambda _: NUMBER, re.escape(p)) for p in word.split("...")]
            runs[-1].append(".*?".join(pieces))
    return ".*?".join(rf"(?<!\S){SPACE.join(run)}(?!\S)" if run else "" for run in runs)


def differs(expected: str, came: str) -> str | None:
    """The first expected line that did not come; None when all did."""
    lines = expected.splitlines()
    if re.fullmatch(rf"\s*{pattern(expected)}\s*", came, re.S):
        return None
    for end in range(1, len(lines) + 1):
        if not re.match(rf"\s*{pattern(chr(10).join(lines[:end]))}", came, re.S):
            return lines[end - 1]
    return f"{lines[-1]} (and nothing behind it)" if lines else "nothing"


def server_side(expected: str) -> list[str]:
    """The lines that do not need a kernel that counts."""
    return [line for line in expected.splitlines() if SERVER_SIDE.match(line)]
