"""Models of a segment that is emptied, freed and used again under a reader that stands still."""

from collections.abc import Callable

from model_reads import MISS, Key, Shape, compose, get, give, item, put, take
from weak_program import (
    ACQ_REL,
    ACQUIRE,
    RELAXED,
    RELEASE,
    Outcome,
    Program,
    Script,
    await_load,
    await_update,
    fence,
    load,
    store,
    update,
)

ONE_PLACE = Key("k", "shape", lambda _: ("slot",))
START: dict[str, object] = {
    "slot": "old",
    "shape": Shape(),
    "old.state": "victim",
    "lock": 0,
    "list": 0,
    **item("old", "k", 1),
    **item("new", "", 0),
}
CONSTANT = frozenset({"shape", "new.generation"})


def free_segment() -> Script:
    """segment.c free_one_listed."""
    yield update("old.generation", lambda n: n + 1, RELEASE, "free_one_listed: generation")
    yield store("old.state", "free", RELEASE, "free_one_listed: state")


def move_and_free(without: str) -> Callable[[], Script]:
    """reclaim.c: moves the live item out of its segment, then frees that."""

    def script() -> Script:
        yield from compose("new", "k", 1)
        if without == "clear before freeing":
            yield from free_segment()
        yield from put(ONE_PLACE, "new", "lock")
        if without == "clear before freeing":
            return
        yield from take("list")
        yield from free_segment()
        yield from give("list")

    return script


def prepare(state: str) -> Script:
    """segment.c take_one_listed, prepare_listed."""
    yield await_load("old.state", "free", RELAXED, "find_listed")
    yield from take("list")
    yield load("old.state", ACQUIRE, "kind_of: state")
    yield fence(RELEASE, "prepare_listed: fence")
    yield store("old.state", state, RELEASE, "set_state: open")
    yield from give("list")


def use_again(name: str, value: int) -> Script:
    """write.c: another item at the same offset. If it is the same key's its slot is the same word
    as in the segment's life before."""
    yield from compose("old", name, value)
    if name == "k":
        yield from put(ONE_PLACE, "old", "lock")


def prepare_and_use(name: str, value: int) -> Callable[[], Script]:
    def script() -> Script:
        yield from prepare("open")
        yield from use_again(name, value)

    return script


def prepare_and_close() -> Script:
    """The first owner leaves the segment nearly empty."""
    yield from prepare("open")
    yield store("old.state", "closed", RELEASE, "fkv_append_close: state")


def reopen_and_use(name: str, value: int) -> Callable[[], Script]:
    """room.c open_closed: another process appends to it."""

    def script() -> Script:
        yield await_update(
            "old.state", lambda s: "open" if s == "closed" else None, ACQ_REL, "open_closed: state"
        )
        yield fence(RELEASE, "open_closed: fence")
        yield from use_again(name, value)

    return script


def whole_and_in_order(outcome: Outcome) -> str | None:
    """The key is there all the time, with value 1, later 2: no miss, nothing torn, no way back."""
    values = outcome.results["reader"]
    for value in values:
        if value == MISS:
            return "a miss, although the key was there all the time"
        if value not in ((1, 1), (2, 2)):
            return f"the reader returned {value}, which nobody stored in this key"
    return "the reader went back in time" if list(values) != sorted(values) else None


def reuse(name: str, without: str = "", *, reads: int = 1) -> Program:
    """The next item at the key's old offset is `name`'s: "k" itself, or another key."""
    return Program(
        f"segment used again by {'the same key' if name == 'k' else 'another key'}",
        START,
        {
            "reclaimer": [move_and_free(without)],
            "next owner": [prepare_and_use(name, 2 if name == "k" else 9)],
            "reader": [get(ONE_PLACE, without)] * reads,
        },
        whole_and_in_order,
        constant=CONSTANT,
    )


def reopened(name: str = "j", without: str = "") -> Program:
    """Who writes the new bytes is not who made the segment ready for them."""
    return Program(
        "segment closed and reopened by another process",
        START,
        {
            "reclaimer": [move_and_free(without)],
            "first owner": [prepare_and_close],
            "next owner": [reopen_and_use(name, 9)],
            "reader": [get(ONE_PLACE, without)],
        },
        whole_and_in_order,
        constant=CONSTANT,
    )
