"""Histories that survive the SIGKILL of who writes them: a line before each operation, one after.

A line is a JSON list in a file that is only ever appended to: [time, name, key, argument] is a
call, [start, end, reply] its return, [start, end] a refusal, which changes nothing. A call with
neither is of unknown outcome. Times are nanoseconds of CLOCK_MONOTONIC, one clock for all processes
of the host.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from linear import Operation, Reply

from forkkv._core import TableBusy, TableFull

Line = list[Any]
Act = Callable[[str, str], Reply]  # of key and argument


class Refused(Exception):
    """A server's form of TableFull and TableBusy: no, and nothing has changed."""


class Recorder:
    """Notes what one process does, in a file of its own."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def run(self, name: str, key: str, argument: str, act: Act) -> None:
        """Does it. What `act` raises, other than a refusal, leaves the outcome unknown."""
        self._note(time.monotonic_ns(), name, key, argument)
        start = time.monotonic_ns()
        try:
            reply = act(key, argument)
        except (Refused, TableFull, TableBusy):
            self._note(start, time.monotonic_ns())
        else:
            end = time.monotonic_ns()
            self._note(start, end, reply)

    def _note(self, *words: Reply) -> None:
        os.write(self.fd, json.dumps(words).encode() + b"\n")


@dataclass
class Histories:
    """What all processes did, by key; and what they were refused."""

    by_key: dict[str, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    refused: list[Operation] = field(default_factory=list)

    def read(self, path: Path) -> None:
        """Adds a file. Its last line may be torn: its process died writing it."""
        call: Line = []
        for line in path.read_text().split("\n")[:-1]:
            words = json.loads(line)
            if len(words) == 4:
                self._add(path.stem, call, [])
                call = words
            else:
                self._add(path.stem, call, words)
                call = []
        self._add(path.stem, call, [])

    def _add(self, process: str, call: Line, outcome: Line) -> None:
        if not call:
            return
        called, name, key, argument = call
        start, end, *reply = outcome or (called, None, None)
        history = self.by_key[key] if reply else self.refused
        history.append(Operation(name, argument, start, end, *reply, process=process))
