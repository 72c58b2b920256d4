"""Models of repair: a commit or a growth is killed anywhere, and so may be who mends it."""

from collections.abc import Callable
from functools import partial

from model_commits import ITEMS, PARTITIONS, commit_all, start, unflag
from model_index import FIXED, GROWTH, GROWTH_CONSTANT, MOVING, double, in_time
from model_reads import get_many, give, put, slot_store
from weak_program import (
    ACQUIRE,
    RELAXED,
    RELEASE,
    RETRY,
    STOP,
    Outcome,
    Program,
    Script,
    ask_dead,
    compare_exchange,
    load,
    store,
)

# ---- a commit -----------------------------------------------------------------------------------


def finish_commit(partition: str, without: str) -> Script:
    """commit.c fkv_finish_commit_locked."""
    shape = yield load(f"{partition}.shape", RELAXED, "fkv_finish_commit_locked: shape")
    if not shape.commit:
        return
    yield load(f"{partition}.committer", RELAXED, "fkv_finish_commit_locked: committer")
    taken = yield load("identity", ACQUIRE, "fkv_finish_commit_locked: identity")
    committed = yield load("intent", ACQUIRE, "fkv_finish_commit_locked: intent")
    if committed and taken and without != "finish what was committed":
        slot = yield load(f"{partition}.change", RELAXED, "finish_intent_locked: change")
        yield store(f"{partition}.slot", slot, RELEASE, "finish_intent_locked: slot")
    yield from unflag(partition)


def take_or_take_over(lock: str, me: str, mend: Callable[[], Script]) -> Script:
    """lock.c, for one who waits. False: not yet. A dead owner's lock is mended on the way."""
    owner = yield load(lock, ACQUIRE, "wait_for: owner after the nap")
    if owner == 0:
        found = yield compare_exchange(lock, 0, me, ACQUIRE, "fkv_lock_take: change")
        return found == 0
    if not (yield ask_dead(owner, "fkv_owner_alive")):
        return False
    found = yield compare_exchange(lock, owner, me, ACQUIRE, "fkv_lock_take_over: change")
    if found == owner:
        yield from mend()
    return found == owner


def wait_for_partition(partition: str, me: str, without: str) -> Callable[[], Script]:
    """A writer that needs the partition, and waits until it has it."""

    def script() -> Script:
        mend = partial(finish_commit, partition, without)
        if not (yield from take_or_take_over(f"{partition}.lock", me, mend)):
            return RETRY
        yield from give(f"{partition}.lock")

    return script


def take_from(partition: str, me: str, without: str) -> Callable[[], Script]:
    """repair.c take_from: mends the partition if the dead committer still holds it."""

    def script() -> Script:
        at = f"{partition}.lock"
        owner = yield load(at, RELAXED, "take_from: owner")
        if owner != "committer":
            return
        found = yield compare_exchange(at, owner, me, ACQUIRE, "fkv_lock_take_over: change")
        if found == owner:
            yield from finish_commit(partition, without)
            yield from give(at)

    return script


def finish_flagged(partition: str, me: str, without: str) -> Callable[[], Script]:
    """repair.c finish_flagged: whoever took the partition over may have died before it mended."""

    def script() -> Script:
        shape = yield load(f"{partition}.shape", ACQUIRE, "finish_flagged: shape")
        if not shape.commit or without == "wait for other repairers":
            return
        mend = partial(finish_commit, partition, without)
        if not (yield from take_or_take_over(f"{partition}.lock", me, mend)):
            return RETRY
        yield from finish_commit(partition, without)
        yield from give(f"{partition}.lock")

    return script


def free_entry(me: str) -> Callable[[], Script]:
    """repair.c repair_entry: once nothing is left of the dead."""

    def nothing() -> Script:
        yield from ()

    def script() -> Script:
        if not (yield from take_or_take_over("list", me, nothing)):
            return RETRY
        if (yield load("identity", RELAXED, "repair_entry: identity")):
            yield store("intent", False, RELEASE, "repair_entry: intent")
            yield store("identity", False, RELEASE, "repair_entry: identity freed")
        yield from give("list")
        return "repaired"

    return script


def unless_it_lives() -> Script:
    return None if (yield ask_dead("committer", "fkv_entry_alive")) else STOP


def repairer(me: str, without: str) -> list[Callable[[], Script]]:
    """repair.c fkv_repair_dead, repair_entry, mend_all_of."""
    mends = [
        mend(partition, me, without)
        for partition in PARTITIONS
        for mend in (take_from, finish_flagged)
    ]
    free_first = without == "free the entry last"
    return [
        unless_it_lives,
        *([free_entry(me)] if free_first else []),
        *mends,
        *([] if free_first else [free_entry(me)]),
    ]


def all_or_nothing(outcome: Outcome) -> str | None:
    slots = outcome.memory["a.slot"], outcome.memory["b.slot"]
    committed = outcome.results["committer"] == ("committed",)
    repaired = any("repaired" in results for results in outcome.results.values())
    if committed and slots != ("a new", "b new"):
        return f"an acknowledged commit is lost: {slots}"
    if repaired and slots not in (("a old", "b old"), ("a new", "b new")):
        return f"half of a commit is left: {slots}"
    return None


def commit_killed(without: str = "", *, mortal: str = "writer") -> Program:
    """The committer is killed; a writer that waits for b mends that, and a repairer the rest. The
    first of them may be killed, too: it is the writer, or another repairer."""
    first = repairer(mortal, without)
    if mortal == "writer":
        first = [wait_for_partition("b", mortal, without)]

    def commits() -> Script:
        yield from commit_all(without)
        for partition in PARTITIONS[::-1]:
            yield from give(f"{partition}.lock")
        return "committed"

    memory = start() | {f"{name}.lock": "committer" for name in PARTITIONS}
    return Program(
        f"commit killed, the {mortal} that mends it killed",
        {n: v for n, v in memory.items() if n not in ITEMS} | {"identity": True, "list": 0},
        {
            "committer": [commits],
            mortal: first,
            "repairer": repairer("repairer", without),
        },
        all_or_nothing,
        killable=frozenset({"committer", mortal}),
        kills=2,
    )


# ---- a growth -----------------------------------------------------------------------------------


def recount(without: str) -> Script:
    """repair.c fkv_mend_partition, index.c fkv_recount_locked: drops what moved away."""
    shape = yield load("shape", RELAXED, "fkv_recount_locked: shape")
    if shape.pages == 2 and without != "dropping slots that moved":
        yield store("lower", 0, RELEASE, "recount_page: slot")
    shape = shape._replace(changes=shape.changes + 1)
    yield store("shape", shape, RELEASE, "fkv_mend_partition: shape")


def set_after_repair(without: str) -> Callable[[], Script]:
    """A writer that takes the partition over from the dead."""

    def script() -> Script:
        if not (yield from take_or_take_over("lock", "writer", partial(recount, without))):
            return RETRY
        shape = yield load("shape", RELAXED, "fkv_search_locked: shape")
        yield from slot_store(MOVING, MOVING.places(shape)[-1], "two")
        yield from give("lock")

    return script


def growth_killed(without: str = "") -> Program:
    """The grower is killed; then somebody stores k = 2 and j = 2."""

    def grows() -> Script:
        yield from double(without)
        yield from give("lock")

    return Program(
        "growth killed, under a batch of reads",
        GROWTH | {"lock": "grower"},
        {
            "grower": [grows],
            "writer": [set_after_repair(without), lambda: put(FIXED, "j two", "j.lock")],
            "reader": [get_many([MOVING, FIXED], without)],
        },
        in_time,
        killable=frozenset({"grower"}),
        constant=GROWTH_CONSTANT,
    )
