"""Models of a commit of two keys that is read while it goes on."""

from collections.abc import Callable, Sequence

from model_index import values
from model_reads import (
    MISS,
    WORDS,
    Found,
    Key,
    Shape,
    confirm,
    get,
    get_many,
    give,
    item,
    search_racy,
    slot_store,
    still_valid,
    take,
)
from weak_program import RELAXED, RELEASE, RETRY, Outcome, Program, Script, load, store

A = Key("a", "a.shape", lambda _: ("a.slot",))
B = Key("b", "b.shape", lambda _: ("b.slot",))
PARTITIONS = ("a", "b")


# ---- committing ---------------------------------------------------------------------------------


def flag(partition: str) -> Script:
    """commit.c fkv_flag_locked."""
    shape = yield load(f"{partition}.shape", RELAXED, "fkv_flag_locked: shape before")
    yield store(f"{partition}.committer", "committer", RELAXED, "fkv_flag_locked: committer")
    flagged = shape._replace(commit=True, changes=shape.changes + 1)
    yield store(f"{partition}.shape", flagged, RELEASE, "fkv_flag_locked: shape")


def unflag(partition: str) -> Script:
    """commit.c fkv_unflag_locked."""
    shape = yield load(f"{partition}.shape", RELAXED, "fkv_unflag_locked: shape before")
    plain = shape._replace(commit=False, changes=shape.changes + 1)
    yield store(f"{partition}.shape", plain, RELEASE, "fkv_unflag_locked: shape")


def flag_all(without: str) -> Script:
    for partition in PARTITIONS if without != "flag" else ():
        yield from flag(partition)


def commit_all(without: str, slots: Sequence[str | int] = ("a new", "b new")) -> Script:
    """commit.c fkv_commit_all_locked."""
    for partition, slot in zip(PARTITIONS, slots, strict=True):
        yield store(f"{partition}.change", slot, RELAXED, "fkv_commit_all_locked: change")
    if without != "flag before the commit word":
        yield from flag_all(without)
    if without != "commit word before the slots":
        yield store("intent", True, RELEASE, "fkv_set_intent: commit")
    if without == "flag before the commit word":
        yield from flag_all(without)
    for key, slot in zip((A, B), slots, strict=True):
        yield from slot_store(key, f"{key.name}.slot", slot)
    if without == "commit word before the slots":
        yield store("intent", True, RELEASE, "fkv_set_intent: commit")
    yield store("intent", False, RELEASE, "fkv_set_intent: done")
    for partition in PARTITIONS if without != "flag" else ():
        yield from unflag(partition)


def committer(
    without: str, slots: Sequence[str | int] = ("a new", "b new")
) -> Callable[[], Script]:
    def script() -> Script:
        for partition in PARTITIONS:
            yield from take(f"{partition}.lock")
        yield from commit_all(without, slots)
        for partition in PARTITIONS[::-1]:
            yield from give(f"{partition}.lock")

    return script


def start(*, fresh: bool = False) -> dict[str, object]:
    """Both keys there with value 1; `fresh`: b is not."""
    memory: dict[str, object] = {"intent": False}
    for name in PARTITIONS:
        memory |= {
            f"{name}.lock": 0,
            f"{name}.shape": Shape(),
            f"{name}.committer": 0,
            f"{name}.change": 0,
            f"{name}.slot": f"{name} old",
            **item(f"{name} old", name, 1),
            **item(f"{name} new", name, 2),
        }
    return memory | ({"b.slot": 0} if fresh else {})


ITEMS = frozenset(
    f"{n} {age}.{word}" for n in PARTITIONS for age in ("old", "new") for word in WORDS
)


def seen_together(keys: Sequence[Key], without: str = "", *, fresh: bool = False) -> Program:
    """A batch of reads beside a commit."""

    def wrong(outcome: Outcome) -> str | None:
        (read,) = values(outcome)
        found = dict(zip((key.name for key in keys), read, strict=True))
        whole = [{"a": 1, "b": MISS if fresh else 1}, {"a": 2, "b": 2}]
        return None if found in whole else f"half of the commit was seen: {found}"

    return Program(
        f"commit under a batch of reads, {' then '.join(key.name for key in keys)}"
        f"{', b new' if fresh else ''}",
        start(fresh=fresh),
        {"committer": [committer(without)], "reader": [get_many(list(keys), without)]},
        wrong,
        constant=ITEMS,
    )


def seen_one_by_one(keys: Sequence[Key], without: str = "") -> Program:
    """One key is read after the other: once a new value was seen, no old one is."""

    def wrong(outcome: Outcome) -> str | None:
        first, second = outcome.results["reader"]
        late = first == (2, 2) and second != (2, 2)
        return "the second key was still old after the first was new" if late else None

    return Program(
        f"commit under two reads, {' then '.join(key.name for key in keys)}",
        start(),
        {"committer": [committer(without)], "reader": [get(key, without) for key in keys]},
        wrong,
        constant=ITEMS,
    )


def look_for_both(source: Key, target: Key, without: str) -> Callable[[], Script]:
    """rename.c look, target_lives: whether a rename must be refused since both are there."""

    def script() -> Script:
        found, shape = yield from search_racy(source, without)
        if not isinstance(found, Found) or not (yield from still_valid(found, without)):
            return RETRY if found != MISS else None
        other, _ = yield from search_racy(target, without)
        if not isinstance(other, Found) or not (yield from still_valid(other, without)):
            return None
        return "both" if (yield from confirm(source, found, shape, without)) else None

    return script


def renamed(without: str = "") -> Program:
    """b is renamed to a, while another looks whether that is allowed."""

    def wrong(outcome: Outcome) -> str | None:
        both = outcome.results["looker"] == ("both",)
        return "both names were found, of which one was there at any time" if both else None

    return Program(
        "a rename under a look at both names",
        start() | {"a.slot": 0},
        {"renamer": [committer(without, ("a new", 0))], "looker": [look_for_both(B, A, without)]},
        wrong,
        constant=ITEMS,
    )
