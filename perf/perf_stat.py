"""Counting by perf: one `perf stat` per process, all started and stopped together.

One perf each, as one dead pid makes perf refuse its whole list. Not inheriting (-i), as the workers
that a master forks later would otherwise be added to the master's row; each gets its own.
"""

import os
import select
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from forkkv.perf.child import TURN, Child
from forkkv.perf.targets import Target

ANSWERS_WITHIN: Final = 30.0  # seconds in which a perf says that it counts; a kernel may stall
ATTACHED: Final = "Events disabled"  # what it prints when it is ready to be told
EventsOf = Callable[[Target | None], Sequence[str]]
SETTLES: Final = 1.0  # seconds for a perf that cannot say so
SUFFIX: Final = ".perf"


class PerfStat:
    """The perfs of one collection. Files of counts go to `out`, pipes and errors to `scratch`."""

    name = "perf"
    from_birth = False

    def __init__(
        self, out: Path, scratch: Path, events_of: EventsOf, aligned: bool, interval: float
    ) -> None:
        """`events_of`: perf's -e arguments for a target, or for a client that is started (None).
        `aligned`: this perf knows --control. `interval`: seconds of the time line, 0 for none."""
        self.out, self.scratch = out, scratch
        self.events_of, self.aligned = events_of, aligned
        self.intervals = ["-I", str(round(interval * 1000))] if interval else []
        self.options = ["-x;", *self.intervals]
        self.children: dict[str, Child] = {}
        self.pipes: dict[str, tuple[int, int]] = {}
        self.ended_at: dict[str, float] = {}
        self.exits: dict[str, int] = {}
        self.mute: set[str] = set()  # those that have not said that they count: who knows of what
        self.told: list[str] = []  # those that were to stop counting
        self.cut: set[str] = set()  # and left at that, without their last interval
        self.pids: dict[str, int | None] = {}
        self.settled = 0.0  # when those that cannot say so have attached, by the monotonic clock

    def attach(self, targets: Iterable[Target]) -> None:
        """Starts a perf for each target, with its counters off until `enable`."""
        for target in targets:
            self.pids[target.label] = target.pid
            self.mute.add(target.label)
            control = self._control(target.label) if self.aligned else []
            words = ["perf", "stat", "-i", *self.options, "-o", str(self._file(target.label))]
            self._start(
                target.label, [*words, *control, *self.events_of(target), "-p", str(target.pid)]
            )
        self.settled = time.monotonic() + SETTLES

    def ready(self, label: str) -> bool:
        """Whether `enable` would find this one attached, or its process gone; without waiting."""
        child = self.children.get(label)
        if child is None or not child.running:
            return True
        return ATTACHED in child.said if self.aligned else time.monotonic() >= self.settled

    def start_client(self, label: str, words: Sequence[str]) -> Child:
        """Starts a client under perf: counted from its exec on, with the processes it starts."""
        command = ["perf", "stat", *self.options, "-o", str(self._file(label))]
        command += [*self.events_of(None), "--"]
        child = Child([*command, *words], self.out / f"{label}.log")
        self.children[label] = child
        return child

    def enable(self, labels: Iterable[str]) -> None:
        """Switches the counters of these on; returns once each has said so, or has ended."""
        chosen = list(labels)
        if not self.aligned:
            time.sleep(max(0.0, self.settled - time.monotonic()))
        self.mute -= set(chosen) - self._tell(chosen, b"enable\n")

    def tick(self) -> None:
        """perf prints its intervals of itself."""

    def disable(self) -> None:
        """Switches all off, but for those whose process is gone; returns once each waits again.

        A perf writes its last interval when SIGINT interrupts its wait for orders. Told to stop
        when its process is gone, or interrupted between its answer and that wait, it does not.
        """
        self.told = [
            label
            for label, child in self.children.items()
            if child.running and label not in self.mute and self._lives(label)
        ]
        self._tell(self.told, b"disable\n")
        deadline = time.monotonic() + ANSWERS_WITHIN
        for child in (self.children[label] for label in self.told if label in self.pipes):
            while child.running and not child.asleep and time.monotonic() < deadline:
                time.sleep(TURN)

    def finish(self) -> None:
        """Ends every perf, which then writes its counts. Harmless twice."""
        for label, child in self.children.items():
            if child.running:
                self.ended_at.setdefault(label, time.time())
                child.interrupt()
        for label, child in self.children.items():
            if label not in self.exits:
                self.exits[label] = child.end()
        self.cut = {each for each in self.told if self.intervals and self.exits[each] == 0}
        for pipe in self.pipes.values():
            for fd in pipe:
                os.close(fd)
        self.pipes.clear()

    def files(self) -> dict[str, Path]:
        """The file of counts of each label."""
        bad = self.mute | self.cut
        return {label: self._file(label) for label in self.children if label not in bad}

    def said(self, label: str) -> str:
        """What this one's perf printed, beside its counts."""
        if label in self.mute:
            return "perf had not begun to count it"
        if label in self.cut:
            return "the process ended as the window closed, and perf left its last interval out"
        return self.children[label].said if label in self.children else ""

    def _lives(self, label: str) -> bool:
        """As perf asks for it: a process that nobody has waited for yet is still there."""
        return Path(f"/proc/{self.pids.get(label)}").exists()

    def _file(self, label: str) -> Path:
        return self.out / f"{label}{SUFFIX}"

    def _start(self, label: str, words: Sequence[str]) -> None:
        self.children[label] = Child(words, self.scratch / f"{label}.error")

    def _control(self, label: str) -> list[str]:
        """The options for a perf that waits to be told. We hold both ends of its pipes open."""
        paths = [self.scratch / f"{label}.{kind}" for kind in ("ctl", "ack")]
        for path in paths:
            os.mkfifo(path)
        control, acknowledge = (os.open(path, os.O_RDWR | os.O_CLOEXEC) for path in paths)
        self.pipes[label] = (control, acknowledge)
        return ["-D", "-1", "--control", f"fifo:{paths[0]},{paths[1]}"]

    def _tell(self, labels: Iterable[str], order: bytes) -> set[str]:
        """Gives the order to each. Returns those that have not answered in time."""
        chosen = [label for label in labels if label in self.pipes]
        for label in chosen:
            os.write(self.pipes[label][0], order)
        deadline = time.monotonic() + ANSWERS_WITHIN
        return {label for label in chosen if not self._answers(label, deadline)}

    def _answers(self, label: str, deadline: float) -> bool:
        """Waits until `ack` has come, or its perf has ended, which needs no answer."""
        acknowledge = self.pipes[label][1]
        while time.monotonic() < deadline:
            running = self.children[label].running
            if select.select([acknowledge], [], [], 0.05 if running else 0)[0]:
                os.read(acknowledge, 64)
                return True
            if not running:
                return True
        return False
