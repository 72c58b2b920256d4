"""One collection: attach to everybody, open the window, watch for new processes, close, write down.

Two readings are taken at each edge of the window, one outside of the counting and one inside, so
that what a process counts itself bounds what the kernel must have counted.
"""

import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any, Final

from forkkv.perf import observe, targets
from forkkv.perf.child import Child
from forkkv.perf.sources import Choice, Source
from forkkv.perf.targets import Target

POLL: Final = 0.05  # seconds between two looks for new processes, ended clients and signals
WRAPPING: Final = ("perf", "strace")  # these start a client as a child of theirs
LOOK: Final = 0.25  # seconds between two looks at whole families, which cost more
OPENING: Final = (0, 1)  # the numbers of the readings at the window's first edge
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, kill, a closed terminal

Json = dict[str, Any]


@dataclass
class Counted:
    """One process of the run, and the numbers of the readings at its edges."""

    target: Target
    newcomer: bool = False
    before: int = 0
    start: int = 0
    opened: float = 0.0  # epoch, when its counters were on
    child: Child | None = None  # a client that this collection started
    exit: int | None = None
    ended_alone: bool = False  # a client that was not ended by us


@dataclass
class Collection:
    """The state of one run of collect.sh. `seconds` and `interval` may be 0: none."""

    table: str | None
    choice: Choice
    seconds: float
    interval: float
    commands: Sequence[Sequence[str]]
    roots: Sequence[int] = ()  # processes whose later children are counted, too
    readings: list[Json] = field(default_factory=list)
    ticks: list[Json] = field(default_factory=list)  # the ends of the intervals: time, reading
    counted: dict[str, Counted] = field(default_factory=dict)
    look_at: float = 0.0  # when to look for children of the roots again, by the monotonic clock
    joining: list[Counted] = field(default_factory=list)  # attached, and not counted yet
    stop: str = ""  # why it ends: seconds, clients, processes, interrupt
    port: int | None = None  # that the server listens on
    opened: float = 0.0
    closed: float = 0.0

    @property
    def source(self) -> Source:
        """Who counts."""
        return self.choice.source

    def run(self, found: Sequence[Target]) -> None:
        """Counts `found`, the clients, and whoever comes to the table meanwhile."""
        with self._signals():
            try:
                self._open(found)
                self._wait()
                self._close()
            finally:
                self.source.finish()
                self._end_clients()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """These end the window early, whatever the caller had them do."""

        def ask(number: int, frame: FrameType | None) -> None:
            self.stop = self.stop or "interrupt"

        earlier = {kind: signal.signal(kind, ask) for kind in ENDING}
        try:
            yield
        finally:
            for kind, handler in earlier.items():
                signal.signal(kind, handler)

    def _read(self) -> int:
        """Takes a reading; returns its number."""
        pids = [each.target.pid for each in self.counted.values()]
        self.readings.append(observe.take(self.table, pids))
        return len(self.readings) - 1

    def _open(self, found: Sequence[Target]) -> None:
        self.port = targets.port_of(found)
        self.opened = self._begin(self._add(found))
        names = ", ".join(self.counted)
        where = f" of table {self.table}" if self.table else ""
        length = f" for {self.seconds:g} s" if self.seconds else ""
        say(f"Counting {names}{where} by {self.source.name}{length}; Ctrl-C ends it.")
        for number, words in enumerate(self.commands, self._clients_found() + 1):
            self._start_client(f"client-{number}", number, words)

    def _add(self, found: Sequence[Target], newcomer: bool = False) -> list[Counted]:
        """Attaches to these; they are not counted yet."""
        fresh = []
        for target in found:
            each = Counted(replace(target, label=self._free_label(target.label)), newcomer)
            self.counted[each.target.label] = each
            fresh.append(each)
        self.source.attach([each.target for each in fresh if each.target.pid is not None])
        return fresh

    def _begin(self, fresh: Sequence[Counted]) -> float:
        """Counts these from one moment on, which it returns."""
        before = self._read()
        self.source.enable([each.target.label for each in fresh])
        opened, start = time.time(), self._read()
        for each in fresh:
            each.before, each.start, each.opened = before, start, opened
            if each.newcomer and self.source.from_birth:
                each.before, each.start = OPENING
        return opened

    def _clients_found(self) -> int:
        return sum(each.target.role == "client" for each in self.counted.values())

    def _start_client(self, label: str, number: int, words: Sequence[str]) -> None:
        child = self.source.start_client(label, words)
        pid = None if self.source.name in WRAPPING else child.process.pid
        target = Target(label, "client", number, pid, command=" ".join(words))
        edge = len(self.readings) - 1
        self.counted[label] = Counted(target, False, edge, edge, time.time(), child)

    def _wait(self) -> None:
        """Until the window ends, with a reading at each interval."""
        pause, began = threading.Event(), time.monotonic()
        due = self.interval
        while not self._over(time.monotonic() - began):
            pause.wait(POLL)
            self._welcome()
            elapsed = time.monotonic() - began
            # What little is left at the end of the seconds belongs to the last interval.
            last = self.seconds and self.seconds - elapsed < self.interval / 2
            if self.interval and elapsed >= due and not last:
                due += self.interval
                self._tick()

    def _tick(self) -> None:
        reading = self._read()
        self.ticks.append({"time": self.readings[reading]["time"], "reading": reading})
        self.source.tick()

    def _over(self, elapsed: float) -> bool:
        clients = [each.child for each in self.counted.values() if each.child is not None]
        if self.seconds:
            over = "seconds" if elapsed >= self.seconds else ""
        elif clients:
            over = "" if any(client.running for client in clients) else "clients"
        else:
            over = "" if any(map(self._lives, self.counted)) else "processes"
        if over and not self.stop:  # which a signal may have set meanwhile
            self.stop = over
        return bool(self.stop)

    def _lives(self, label: str) -> bool:
        pid = self.counted[label].target.pid
        used = observe.read_usage(pid) if pid is not None else None
        return used is not None and used["state"] != observe.ZOMBIE

    def _welcome(self) -> None:
        """Attaches to the processes that have come since the last look, without waiting for it."""
        known = {each.target.key for each in self.counted.values()}
        fresh = targets.of_table(observe.participants(self.table), known)
        if self.roots and time.monotonic() >= self.look_at:
            self.look_at = time.monotonic() + LOOK
            pids = {each.target.pid for each in self.counted.values()}
            fresh += targets.of_roots(self.roots, pids)
        self.joining += self._add(fresh, newcomer=True)
        ready = [each for each in self.joining if self.source.ready(each.target.label)]
        if ready:
            self.joining = [each for each in self.joining if each not in ready]
            self._begin(ready)
            names = ", ".join(each.target.label for each in ready)
            say(f"{names} came, and {'is' if len(ready) == 1 else 'are'} counted from here on.")

    def _free_label(self, label: str) -> str:
        """worker-0.2 is the second process in the place of worker 0."""
        taken = sum(each == label or each.startswith(label + ".") for each in self.counted)
        return f"{label}.{taken + 1}" if taken else label

    def _close(self) -> None:
        self._end_clients()
        end = self._read()
        for each in self.joining:  # came too late
            each.before, each.start, each.opened = end, end, time.time()
        self.source.disable()
        self.closed = time.time()
        self._read()

    def _end_clients(self) -> None:
        for each in self.counted.values():
            if each.child is not None and each.exit is None:
                each.ended_alone = not each.child.running
                each.exit = each.child.end()


def say(text: str) -> None:
    """For the person who waits; results go to files."""
    print(text, file=sys.stderr, flush=True)
