"""Counting by strace -c, only when asked for: exact counts, but each call stops its process twice.

What it prints at the end, one row a call:

    % time     seconds  usecs/call     calls    errors syscall
    ------ ----------- ----------- --------- --------- ----------------
     60.00    0.000120           1       100         3 read
    100.00    0.000200                   140         3 total
"""

import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from forkkv.perf.child import Child
from forkkv.perf.targets import Target

ATTACHES_WITHIN: Final = 10.0  # seconds
SUFFIX: Final = ".strace"
ROW: Final = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+(?:\d+\s+)?(\d+)\s+(?:(\d+)\s+)?(\w+)$")


class Strace:
    """The straces of one collection, one per process."""

    name = "strace"
    from_birth = False

    def __init__(self, out: Path, scratch: Path) -> None:
        self.out, self.scratch = out, scratch
        self.children: dict[str, Child] = {}
        self.exits: dict[str, int] = {}
        self.ended_at: dict[str, float] = {}

    def attach(self, targets: Iterable[Target]) -> None:
        """Attaches a strace to each; they count at once. A master's new workers get their own."""
        chosen = list(targets)
        for target in chosen:
            follow = [] if target.role == "master" else ["-f"]  # -f: its threads as well
            words = ["strace", "-c", *follow, "-o", str(self._file(target.label))]
            output = self.scratch / f"{target.label}.error"
            self.children[target.label] = Child([*words, "-p", str(target.pid)], output)
        deadline = time.monotonic() + ATTACHES_WITHIN
        for target in chosen:
            child = self.children[target.label]
            while child.running and "attached" not in child.said and time.monotonic() < deadline:
                time.sleep(0.01)

    def ready(self, label: str) -> bool:
        """It has attached when `attach` returns."""
        return True

    def start_client(self, label: str, words: Sequence[str]) -> Child:
        """Starts a client under strace, with the processes that it starts."""
        command = ["strace", "-c", "-f", "-o", str(self._file(label)), "--"]
        self.children[label] = Child([*command, *words], self.out / f"{label}.log")
        return self.children[label]

    def enable(self, labels: Iterable[str]) -> None:
        """They count already."""

    def tick(self) -> None:
        """It has no counts before the end."""

    def disable(self) -> None:
        """Takes all off their processes; they write their tables."""
        self.finish()

    def finish(self) -> None:
        """Ends every strace. Harmless twice."""
        for child in self.children.values():
            if child.running:
                child.interrupt()
        for label, child in self.children.items():
            if label not in self.exits:
                self.exits[label] = child.end()

    def files(self) -> dict[str, Path]:
        """The file of counts of each label."""
        return {label: self._file(label) for label in self.children}

    def said(self, label: str) -> str:
        """What this one's strace printed, beside its counts."""
        return self.children[label].said if label in self.children else ""

    def _file(self, label: str) -> Path:
        return self.out / f"{label}{SUFFIX}"


def read_table(text: str) -> dict[str, tuple[int, int]]:
    """Calls and failed calls by name; the sum is `total`."""
    rows = (ROW.match(line) for line in text.splitlines())
    return {row[3]: (int(row[1]), int(row[2] or 0)) for row in rows if row}
