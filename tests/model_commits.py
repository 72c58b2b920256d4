"""Models of a commit of two keys that is read while it goes on."""

from collections.abc import Callable, Sequence

from model_index import values
from model_reads import MISS, WORDS, Key, Shape, get, get_many, give, item, slot_store, take
from weak_program import RELAXED, RELEASE, Outcome, Program, Script, load, store

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


def commit_all(without: str) -> Script:
    """commit.c."""
    for partition in PARTITIONS:
        yield store(
            f"{partition}.change", f"{partition} new", RELAXED, "fkv_commit_all_locked: change"
        )
    if without != "flag before the commit word":
        yield from flag_all(without)
    if without != "commit word before the slots":
        yield store("intent", True, RELEASE, "fkv_set_intent: commit")
    if without == "flag before the commit word":
        yield from flag_all(without)
    for key in (A, B):
        yield from slot_store(key, f"{key.name}.slot", f"{key.name} new")
    if without == "commit word before the slots":
        yield store("intent", True, RELEASE, "fkv_set_intent: commit")
    yield store("intent", False, RELEASE, "fkv_set_intent: done")
    for partition in PARTITIONS if without != "flag" else ():
        yield from unflag(partition)


def committer(without: str) -> Callable[[], Script]:
    def script() -> Script:
        for partition in PARTITIONS:
            yield from take(f"{partition}.lock")
        yield from commit_all(without)
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
