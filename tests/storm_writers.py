"""What the processes of a storm do: the same operations through both doors, each recorded.

Keys live for a moment, and then lie until a survivor reads them at the end. So each has few
operations of unknown outcome, which keeps the search for an order short, and reclaim has values to
move. The letter of a key says what is done with it:

    r register: every operation on one value      c counter: INCR, whose replies must be unique
    n a race of SET NX, with one winner           g group: keys that are only ever set together
    x churn, checked for torn values alone: large values, many tiny keys, clears; so that segments
      fill and are emptied, and the index grows
"""

import os
import random
import time
from itertools import count
from pathlib import Path

from history import Act, Recorder
from storm_doors import Door
from storm_stalls import NAP_SECONDS

from forkkv.clients.connection import ConnectionLost

LIFE_NS = {"r": 1_000_000_000, "c": 1_000_000_000, "n": 20_000_000, "g": 1_000_000_000}
KEYS = {"r": 6, "c": 2, "n": 1, "g": 1}  # at a time
LARGE_KEYS = 64
BURST = 24  # operations without a pause, so that kills meet some
PAUSE_SECONDS = 0.016  # at most, after a burst: a storm is about deaths, not about full processors


class Writer:
    """One process of a storm. It never ends: it is killed."""

    def __init__(self, door: Door, path: Path, seed: int) -> None:
        self.door = door
        self.process = path.stem
        self.recorder = Recorder(path)
        self.chance = random.Random(f"{seed} {self.process}")
        self.numbers = count()

    def run(self) -> None:
        turns = [self.register] * 6 + [self.counter] * 3 + [self.race] * 2
        turns += [self.group] * 4 + [self.churn] * 9
        while True:
            try:
                for _ in range(BURST):
                    self.chance.choice(turns)()
                time.sleep(self.chance.random() * PAUSE_SECONDS)
            except ConnectionLost:
                self.door.open()

    def register(self) -> None:
        readers = self.door.get, self.door.delete
        writers = self.door.set, self.door.getset, self.door.setnx, self.door.append
        act: Act = self.chance.choice(readers + writers)
        self.record("r", act.__name__, "" if act in readers else self.unique(), act)

    def counter(self) -> None:
        act: Act = self.door.get if self.chance.random() < 0.3 else self.door.incr
        self.record("c", act.__name__, "", act)

    def race(self) -> None:
        if self.chance.random() < 0.5:
            self.record("n", "get", "", self.door.get)
        else:
            self.record("n", "setnx", self.unique(), self.door.setnx)

    def group(self) -> None:
        if self.chance.random() < 0.5:
            self.record("g", "get", "", self.door.get_group)
        else:
            self.record("g", "set", self.unique(), self.door.set_group)

    def churn(self) -> None:
        kind, key = self.chance.random(), f"x{self.chance.randrange(LARGE_KEYS)}"
        if kind < 0.5:
            value = self.chance.choice("abcdef") + str(self.size())
            self.recorder.run("set_large", key, value, self.door.set_large)
        elif kind < 0.7:
            self.recorder.run("get_large", key, "", self.door.get_large)
        elif kind < 0.999:
            self.recorder.run("fill", "x", self.unique(), self.door.fill)
        else:
            self.recorder.run("clear", "x", "", self.door.clear)

    def record(self, letter: str, name: str, argument: str, act: Act) -> None:
        now = time.monotonic_ns() // LIFE_NS[letter]
        key = f"{letter}{now}.{self.chance.randrange(KEYS[letter])}"
        self.recorder.run(name, key, argument, act)

    def unique(self) -> str:
        """A value that nobody else ever stores, of some length."""
        return f"{self.process}-{next(self.numbers)}".ljust(self.chance.randrange(100), ".")

    def size(self) -> int:
        """Mostly small; some larger than a segment."""
        kind = self.chance.random()
        return 1 + self.chance.randrange(300 if kind < 0.8 else 6000 if kind < 0.99 else 150_000)


def nap_for_ever(path: Path, processor: int) -> None:
    """Only sleeps, on one processor."""
    os.sched_setaffinity(0, [processor])
    recorder = Recorder(path)
    while True:
        recorder.run("nap", "x", "", lambda *_: time.sleep(NAP_SECONDS))
