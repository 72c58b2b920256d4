"""What programs for the checker of weak memory are made of: steps, operations, threads."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

RELAXED, ACQUIRE, RELEASE, ACQ_REL = 0, 1, 2, 3
ORDER_NAMES: Final = ("relaxed", "acquire", "release", "acq_rel")
RETRY: Final = "retry"  # an operation that returns it starts over, as a loop in C does
SKIP: Final = "skip"  # an operation that returns it passes over the next one
STOP: Final = "stop"  # an operation that returns it ends its thread
DEAD: Final = "dead"  # the last result of a thread that was killed

Value = Any


class Step(NamedTuple):
    """One access. `says` names the line of C that it stands for."""

    kind: str
    says: str
    at: str = ""
    order: int = RELAXED
    value: Value = None
    change: Callable[[Value], Value | None] | None = None


Script = Generator[Step, Any, Any]


class Wrong(Exception):
    """Raised by a script that sees what must never be."""


def load(at: str, order: int, says: str) -> Step:
    return Step("load", says, at, order)


def await_load(at: str, value: Value, order: int, says: str) -> Step:
    """A load in a loop, until it returns `value`."""
    return Step("load", says, at, order, value)


def store(at: str, value: Value, order: int, says: str) -> Step:
    return Step("store", says, at, order, value)


def update(at: str, change: Callable[[Value], Value | None], order: int, says: str) -> Step:
    """A read-modify-write, which returns what it read; `change` returning None fails it."""
    return Step("update", says, at, order, change=change)


def await_update(at: str, change: Callable[[Value], Value | None], order: int, says: str) -> Step:
    """A read-modify-write in a loop, until it succeeds."""
    return Step("update", says, at, order, True, change)


def compare_exchange(at: str, expected: Value, desired: Value, order: int, says: str) -> Step:
    return update(at, lambda value: desired if value == expected else None, order, says)


def fence(order: int, says: str) -> Step:
    return Step("fence", says, order=order)


def ask_dead(thread: str, says: str) -> Step:
    """The question to the kernel whether a thread has been killed."""
    return Step("ask", says, value=thread)


def sleep(semaphore: str, word: str, says: str) -> Step:
    """Waits for a post, which returns True, or until a timeout, which returns False. When nothing
    else has happened for so long, this thread sees the newest store to `word`."""
    return Step("sleep", says, semaphore, ACQUIRE, word)


@dataclass(frozen=True)
class Program:
    """Threads over shared locations. Each thread is a list of operations; what an operation read
    is forgotten when it ends, so that states which differ only in it are one."""

    name: str
    initial: dict[str, Value]
    threads: Mapping[str, Sequence[Callable[[], Script]]]
    wrong: Callable[["Outcome"], str | None]  # judges a finished execution
    killable: frozenset[str] = frozenset()
    dead: frozenset[str] = frozenset()  # from the start
    kills: int = 1  # how many may be dead in the end
    timeouts: int = 1  # that one sleeper may need, beside one for each death
    constant: frozenset[str] = frozenset()  # locations that nobody stores to


class Outcome(NamedTuple):
    """A finished execution: what each thread's operations returned, and the newest values."""

    results: dict[str, tuple[Any, ...]]
    memory: dict[str, Value]
