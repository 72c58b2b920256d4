"""Scripts for the checker of weak memory: reading without a lock, and storing under it.

Each stands for the C function that it is named after, access by access. A slot's word is the name
of an offset, and the item there three words: its key and two pieces of its value. Bytes that are
read while they may be changing are relaxed loads of single words, validated afterwards: that is
what racy.c relies on. `without` names a check to leave out.
"""

from collections.abc import Callable
from typing import NamedTuple

from weak_program import (
    ACQUIRE,
    RELAXED,
    RELEASE,
    RETRY,
    Script,
    await_update,
    fence,
    load,
    store,
    update,
)

MISS = "miss"
WORDS = ("key", "first", "last", "generation")  # of an item, and of the segment that it is in


class Shape(NamedTuple):
    """layout.h: the word of a partition that every reader loads first and compares last."""

    changes: int = 0
    commit: bool = False
    pages: int = 1


class Key(NamedTuple):
    """A key: its partition's shape, and what to probe in each shape: slots, and between them the
    counter of keys that passed a bucket."""

    name: str
    shape_at: str
    places: Callable[[Shape], tuple[str, ...]]


class Found(NamedTuple):
    slot_at: str
    slot: str
    shape: Shape
    generation: int


# ---- the reader ---------------------------------------------------------------------------------


def read_item(key: Key, slot_at: str, slot: str, without: str) -> Script:
    """index.c: whether the item is the key's, its generation, and whether to doubt it at once."""
    generation = yield load(f"{slot}.generation", ACQUIRE, "read_item: generation")
    if without != "second slot load":
        again = yield load(slot_at, ACQUIRE, "read_item: slot again")
        if again != slot:
            return False, generation, without != "doubt when the slot changed"
    name = yield load(f"{slot}.key", RELAXED, "read_item: fkv_racy_equal")
    return name == key.name, generation, False


def probe(key: Key, shape: Shape, without: str) -> Script:
    """index.c: what was found, and whether a slot changed under us."""
    doubt = False
    for slot_at in key.places(shape):
        if slot_at == "passed":
            if (yield load("passed", ACQUIRE, "probe: passed")) == 0:
                break
            continue
        slot = yield load(slot_at, ACQUIRE, "probe: slot")
        if slot == 0:
            continue
        matches, generation, changed = yield from read_item(key, slot_at, slot, without)
        if matches:
            return Found(slot_at, slot, shape, generation), doubt
        doubt = doubt or changed
        yield fence(ACQUIRE, "probe: fence")
        slot_now = yield load(slot_at, RELAXED, "probe: slot after the item")
        generation_now = yield load(f"{slot}.generation", RELAXED, "probe: generation after it")
        if without != "doubt of a mismatch" and (slot_now, generation_now) != (slot, generation):
            doubt = True
    return None, doubt


def search_racy(key: Key, without: str) -> Script:
    """index.c: Found, MISS or RETRY; a miss comes with its shape."""
    shape = yield load(key.shape_at, ACQUIRE, "fkv_search_racy: shape")
    if shape.commit and without != "commit flag":
        return RETRY, shape
    found, doubt = yield from probe(key, shape, without)
    if found is not None:
        return found, shape
    yield fence(ACQUIRE, "fkv_search_racy: fence")
    again = yield load(key.shape_at, RELAXED, "fkv_search_racy: shape again")
    if doubt or (again != shape and without != "shape again"):
        return RETRY, shape
    return MISS, shape


def still_valid(found: Found, without: str) -> Script:
    """index.c."""
    yield fence(ACQUIRE, "fkv_still_valid: fence")
    slot = yield load(found.slot_at, RELAXED, "fkv_still_valid: slot")
    if slot != found.slot and without != "slot at the end":
        return False
    if without == "generation at the end":
        return True
    generation = yield load(f"{found.slot}.generation", RELAXED, "fkv_still_valid: generation")
    return bool(generation == found.generation)


def take_value(found: Found) -> Script:
    """read.c fkv_take_value: the value's two pieces."""
    first = yield load(f"{found.slot}.first", RELAXED, "fkv_racy_copy")
    last = yield load(f"{found.slot}.last", RELAXED, "fkv_racy_copy")
    return first, last


def get(key: Key, without: str = "") -> Callable[[], Script]:
    """read.c read_key; whoever is interfered with tries again."""

    def script() -> Script:
        found, _ = yield from search_racy(key, without)
        if not isinstance(found, Found):
            return found
        value = yield from take_value(found)
        return value if (yield from still_valid(found, without)) else RETRY

    return script


def confirm(key: Key, found: Found | str, shape: Shape, without: str) -> Script:
    """get_many.c confirm_miss, index.c fkv_confirm_hit: whether a key is still what was found."""
    if not isinstance(found, Found):
        again, now = yield from search_racy(key, without)
        return again == MISS and (now == shape or without == "shape of a miss")
    valid = without == "flag before slot" and (yield from still_valid(found, without))
    if without != "commit flag at the end":
        now = yield load(key.shape_at, RELAXED, "fkv_confirm_hit: shape")
        if now.commit:
            return False
    return valid or (yield from still_valid(found, without))


def get_many(keys: list[Key], without: str = "") -> Callable[[], Script]:
    """get_many.c read_each, confirm_each."""

    def script() -> Script:
        work, values = [], []
        for key in keys:
            found, shape = yield from search_racy(key, without)
            if found == RETRY:
                return RETRY
            work.append((key, found, shape))
            values.append((yield from take_value(found)) if isinstance(found, Found) else MISS)
        for key, found, shape in work if without != "second round" else []:
            if not (yield from confirm(key, found, shape, without)):
                return RETRY
        return tuple(values)

    return script


# ---- writers ------------------------------------------------------------------------------------


def take(lock: str) -> Script:
    """lock.c, without its waiters: model_locks.py has those."""
    yield await_update(
        lock, lambda owner: 1 if owner == 0 else None, ACQUIRE, "fkv_lock_take: change"
    )


def give(lock: str) -> Script:
    yield update(lock, lambda _: 0, RELEASE, "fkv_lock_release: owner")


def compose(slot: str, name: str, value: int) -> Script:
    """write.c fkv_compose: plain stores to a private place."""
    yield store(f"{slot}.key", name, RELAXED, "fkv_compose: key")
    yield store(f"{slot}.first", value, RELAXED, "fkv_compose: value")
    yield store(f"{slot}.last", value, RELAXED, "fkv_compose: value")


def slot_store(key: Key, slot_at: str, slot: str | int, without: str = "") -> Script:
    """index.c fkv_slot_store_locked."""
    old = yield load(slot_at, RELAXED, "fkv_slot_store_locked: old slot")
    yield store(slot_at, slot, RELEASE, "fkv_slot_store_locked: slot")
    if old == 0 and without != "shape goes up with a new key":
        shape = yield load(key.shape_at, RELAXED, "fkv_slot_store_locked: shape before")
        yield store(
            key.shape_at,
            shape._replace(changes=shape.changes + 1),
            RELEASE,
            "fkv_slot_store_locked: shape",
        )


def put(key: Key, slot: str | int, lock: str, without: str = "") -> Script:
    """write.c lock_and_set: the key's last place is where it lies, or will."""
    yield from take(lock)
    shape = yield load(key.shape_at, RELAXED, "fkv_search_locked: shape")
    yield from slot_store(key, key.places(shape)[-1], slot, without)
    yield from give(lock)


def item(slot: str, name: str, value: int) -> dict[str, object]:
    """The words of an item that is there from the start."""
    return {f"{slot}.{w}": v for w, v in zip(WORDS, (name, value, value, 0), strict=True)}
