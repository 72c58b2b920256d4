"""Models of an index that changes under its readers: new keys, growth, several keys at once."""

from collections.abc import Callable

from model_reads import MISS, WORDS, Key, Shape, get, get_many, give, item, put, slot_store, take
from weak_program import (
    ACQUIRE,
    RELAXED,
    RELEASE,
    RETRY,
    Outcome,
    Program,
    Script,
    fence,
    load,
    store,
)


def values(outcome: Outcome) -> list[tuple[object, ...]]:
    """What the reader returned: per read of one key or several, per key its value or a miss."""
    reads = outcome.results["reader"]
    batches = [(read,) if read == MISS or isinstance(read[0], int) else read for read in reads]
    return [
        tuple(v if v == MISS else v[0] if v[0] == v[1] else "torn" for v in batch)
        for batch in batches
    ]


# ---- growth -------------------------------------------------------------------------------------

MOVING = Key("k", "shape", lambda shape: ("lower",) if shape.pages == 1 else ("upper",))
FIXED = Key("j", "j.shape", lambda _: ("j.slot",))
GROWTH: dict[str, object] = {
    "shape": Shape(),
    "lower": "one",
    "upper": "junk",  # left by a growth that was killed before
    "lock": 0,
    "j.shape": Shape(),
    "j.slot": "j one",
    "j.lock": 0,
    **item("junk", "k", 0),
    **item("one", "k", 1),
    **item("two", "k", 2),
    **item("j one", "j", 1),
    **item("j two", "j", 2),
}
GROWTH_CONSTANT = frozenset({"j.shape"} | {name for name in GROWTH if name.endswith(WORDS)})


def double(without: str) -> Script:
    """index.c fkv_grow_locked, for the one key that moves."""
    shape = yield load("shape", RELAXED, "fkv_grow_locked: shape before")
    yield store("upper", 0, RELAXED, "copy_moving: memset")
    slot = yield load("lower", RELAXED, "copy_moving: slot below")
    late = without == "copying before publishing"
    if not late:
        yield store("upper", slot, RELAXED, "copy_moving: slot above")
    grown = shape._replace(changes=shape.changes + 1, pages=2)
    yield store("shape", grown, RELEASE, "fkv_grow_locked: shape")
    yield fence(RELEASE, "fkv_grow_locked: fence")
    if late:
        yield store("upper", slot, RELAXED, "copy_moving: slot above")
    if without != "clearing before the lock is free":
        yield store("lower", 0, RELEASE, "recount_page: slot")


def grow(without: str) -> Callable[[], Script]:
    def script() -> Script:
        yield from take("lock")
        yield from double(without)
        yield from give("lock")

    return script


def in_time(outcome: Outcome) -> str | None:
    """The keys are there all the time; k becomes 2, and then j."""
    read = values(outcome)
    for got in read:
        if MISS in got:
            return "a miss, although the key was there all the time"
        if not set(got) <= {1, 2}:
            return f"the reader returned {got}: a slot that nobody published"
        if got == (1, 2):
            return "old k beside new j, which was stored after new k"
    return "the reader went back in time" if read != sorted(read) else None


def growth(without: str = "", *, batch: bool = True) -> Program:
    """Somebody stores k = 2 and then j = 2, while the partition of k doubles."""
    one = get(MOVING, without)
    return Program(
        f"growth under {'a batch of reads' if batch else 'two reads'}",
        GROWTH,
        {
            "grower": [grow(without)],
            "writer": [lambda: put(MOVING, "two", "lock"), lambda: put(FIXED, "j two", "j.lock")],
            "reader": [get_many([MOVING, FIXED], without)] if batch else [one, one],
        },
        in_time,
        constant=GROWTH_CONSTANT,
    )


# ---- keys come and go ---------------------------------------------------------------------------


FAR = Key("k", "shape", lambda _: ("passed", "slot"))


def insert_far(without: str) -> Callable[[], Script]:
    """index.c find_empty, fkv_slot_store_locked: the key goes past its full home bucket. Then the
    writer tells somebody that it is there."""

    def script() -> Script:
        yield from take("lock")
        if without != "raising passed":
            yield store("passed", 1, RELEASE, "passed_add")
        yield from slot_store(FAR, "slot", "one", without)
        yield from give("lock")
        yield store("told", True, RELEASE, "model: tell")

    return script


def told() -> Script:
    """A client hears from another that the key is there."""
    if not (yield load("told", ACQUIRE, "model: told")):
        return RETRY


def new_key(without: str = "") -> Program:
    """Who was told of a key finds it."""

    def wrong(outcome: Outcome) -> str | None:
        return (
            None if outcome.results["reader"][-1] == (1, 1) else "a key that was stored is missing"
        )

    return Program(
        "a new key behind a full bucket",
        {"shape": Shape(), "passed": 0, "slot": 0, "lock": 0, "told": False, **item("one", "k", 1)},
        {"writer": [insert_far(without)], "reader": [told, get(FAR, without)]},
        wrong,
        constant=frozenset(f"one.{word}" for word in WORDS),
    )


def only_slot(name: str) -> Callable[[Shape], tuple[str, ...]]:
    return lambda _: (f"{name}.slot",)


def swapped(without: str = "") -> Program:
    """One of two keys is there at any time, and they change about."""
    keys = {name: Key(name, f"{name}.shape", only_slot(name)) for name in "kl"}

    def swap(to: str, fro: str) -> Script:
        yield from put(keys[to], f"{to} one", f"{to}.lock", without)
        yield from put(keys[fro], 0, f"{fro}.lock", without)

    def wrong(outcome: Outcome) -> str | None:
        return "both keys were missing at once" if values(outcome) == [(MISS, MISS)] else None

    memory: dict[str, object] = {}
    for name in "kl":
        memory |= {f"{name}.shape": Shape(), f"{name}.lock": 0, **item(f"{name} one", name, 1)}
    return Program(
        "a batch of reads beside keys that come and go",
        {**memory, "k.slot": 0, "l.slot": "l one"},
        {
            "writer": [lambda: swap("k", "l"), lambda: swap("l", "k"), lambda: swap("k", "l")],
            "reader": [get_many(list(keys.values()), without)],
        },
        wrong,
        constant=frozenset(name for name in memory if " one." in name),
    )
