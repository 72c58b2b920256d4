"""Models of the lock: who may enter, who is woken, and who takes over from the dead."""

from collections.abc import Callable
from typing import NamedTuple

from weak_program import (
    ACQUIRE,
    DEAD,
    RELAXED,
    RELEASE,
    RETRY,
    SKIP,
    Outcome,
    Program,
    Script,
    Wrong,
    ask_dead,
    await_load,
    compare_exchange,
    fence,
    load,
    sleep,
    store,
    update,
)


class Owner(NamedTuple):
    """layout.h: entry and generation of who holds the lock, and whether somebody waits."""

    entry: str
    generation: int = 1
    waiters: bool = False


FREE = 0


def change(expected: Owner | int, desired: Owner, says: str) -> Script:
    """lock.c change."""
    found = yield compare_exchange("owner", expected, desired, ACQUIRE, says)
    return found == expected


def mend() -> Script:
    """What repair.c does with the lock held: here x and y are to be equal again."""
    x = yield load("x", RELAXED, "model: mend")
    yield store("y", x, RELAXED, "model: mend")


def take_over(dead: Owner, me: str, without: str) -> Script:
    """lock.c fkv_lock_take_over."""
    mine = Owner(me, waiters=True)
    if without == "takeover by compare-and-swap":
        yield update("owner", lambda _: mine, ACQUIRE, "fkv_lock_take_over: change")
    elif not (yield from change(dead, mine, "fkv_lock_take_over: change")):
        return False
    yield from mend()
    return True


def fast_path(me: str) -> Callable[[], Script]:
    """lock.c fkv_lock_take."""

    def script() -> Script:
        taken = yield from change(FREE, Owner(me), "fkv_lock_take: change")
        return SKIP if taken else None

    return script


def try_or_announce(me: str, without: str) -> Script:
    """lock.c."""
    owner = yield load("owner", RELAXED, "try_or_announce: owner")
    if owner == FREE:
        mine = Owner(me, waiters=without != "waiters bit when a waiter takes it")
        return (yield from change(FREE, mine, "try_or_announce: take"))
    if not owner.waiters and without != "announcing":
        yield from change(owner, owner._replace(waiters=True), "try_or_announce: announce")
    return False


def wait_for(me: str, without: str) -> Callable[[], Script]:
    """lock.c: one round of its loop."""

    def script() -> Script:
        if (yield from try_or_announce(me, without)):
            return "taken"
        owner = yield load("owner", RELAXED, "wait_for: owner")
        if owner == FREE or not (owner.waiters or without == "announcing"):
            return RETRY
        if (yield sleep("sleepers", "owner", "sleep_on")):
            return RETRY
        owner = yield load("owner", ACQUIRE, "wait_for: owner after the nap")
        if owner == FREE:
            return RETRY
        dead = without == "asking" or (yield ask_dead(owner.entry, "fkv_owner_alive"))
        return "taken over" if dead and (yield from take_over(owner, me, without)) else RETRY

    return script


def section() -> Script:
    """Something that takes two stores, under the lock."""
    x = yield load("x", RELAXED, "model: section")
    y = yield load("y", RELAXED, "model: section")
    if x != y:
        raise Wrong("somebody entered while another was at it, or saw only half of it")
    yield store("x", x + 1, RELAXED, "model: section")
    yield store("y", y + 1, RELAXED, "model: section")
    return x


def release(without: str) -> Callable[[], Script]:
    """lock.c fkv_lock_release."""

    def script() -> Script:
        was = yield update("owner", lambda _: FREE, RELEASE, "fkv_lock_release: owner")
        if was == FREE:
            raise Wrong("a lock was given back that somebody else had taken and given back")
        if was.waiters and without != "post":
            yield update("sleepers", lambda posts: posts + 1, RELEASE, "fkv_lock_release: sem_post")

    return script


def one_after_the_other(outcome: Outcome) -> str | None:
    results = outcome.results.values()
    deaths = sum(DEAD in each for each in results)
    entered = [v for each in results if DEAD not in each for v in each if isinstance(v, int)]
    if len(set(entered)) != len(entered):
        return "two were in the section at once"
    if sum("taken over" in each for each in results) > deaths:
        return "a dead owner's lock was taken over twice, or a living one's"
    return None


def contended(without: str = "", *, killable: str = "", dead: str = "") -> Program:
    """A holds the lock, B and C want it. Without deaths nobody needs a timeout; each death costs
    one. If A is dead from the start, it died halfway."""
    fate = "A dead" if dead else f"{' or '.join(killable)} killed" if killable else "nobody killed"
    return Program(
        f"lock: {fate}{f', {killable} killed' if dead and killable else ''}",
        {"owner": Owner("A"), "sleepers": 0, "x": 1 if dead else 0, "y": 0},
        {
            "A": [section, release(without)],
            **{
                name: [fast_path(name), wait_for(name, without), section, release(without)]
                for name in "BC"
            },
        },
        one_after_the_other,
        killable=frozenset(killable),
        dead=frozenset(dead),
        kills=len(killable + dead),
        timeouts=0,
    )


# ---- the entry of the dead is used again --------------------------------------------------------


def entry_alive(owner: Owner, without: str) -> Script:
    """participant.c fkv_owner_alive. The kernel knows A dead until its entry's next user, who has
    the same byte locked, is there."""
    if owner.entry != "A":
        return True
    identity = yield load("identity", ACQUIRE, "fkv_owner_alive: identity")
    if identity == 0 or (
        identity != owner.generation and without != "generation in the owner word"
    ):
        return False
    return identity == 2


def frees_entry(without: str) -> Callable[[], Script]:
    """repair.c repair_entry: mends what A held, if nobody else was faster, then frees its entry."""

    def script() -> Script:
        if (yield from take_over(Owner("A"), "B", without)):
            yield from release(without)()
        yield store("identity", 0, RELEASE, "repair_entry: identity")

    return script


def enters_anew() -> Script:
    """participant.c take_entry: another process gets A's entry."""
    yield await_load("identity", 0, ACQUIRE, "take_entry: identity")
    yield store("identity", 2, RELEASE, "take_entry: identity taken")
    yield fence(RELEASE, "take_entry: fence")


def takes(me: Owner) -> Callable[[], Script]:
    def script() -> Script:
        return None if (yield from change(FREE, me, "fkv_lock_take: change")) else RETRY

    return script


def waits(without: str) -> Callable[[], Script]:
    """A waiter that may sleep between the question and the takeover."""

    def script() -> Script:
        owner = yield load("owner", ACQUIRE, "wait_for: owner after the nap")
        if owner == FREE:
            return None if (yield from change(FREE, Owner("C"), "fkv_lock_take: change")) else RETRY
        if (yield from entry_alive(owner, without)):
            return RETRY
        return None if (yield from take_over(owner, "C", without)) else RETRY

    return script


def entry_used_again(without: str = "") -> Program:
    """A died holding the lock; its entry is freed and taken while C still ponders that death."""
    again = Owner("A", 1 if without == "generation in the owner word" else 2)
    return Program(
        "lock: a dead owner's entry is used again",
        {"owner": Owner("A"), "sleepers": 0, "x": 1, "y": 0, "identity": 1},
        {
            "repairer": [frees_entry(without)],
            "next": [enters_anew, takes(again), section, release(without)],
            "C": [waits(without), section, release(without)],
        },
        one_after_the_other,
    )
