"""What the checker of weak memory says of the table's protocols; run as a program, it prints it.

Each program must hold. Each order and each check that the protocols rely on is left out once, and
then some program must go wrong: what it does is the reason for the order. With --all, every order
that is said not to be needed is left out in every program, and the larger programs run, too.
"""

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from model_commits import A, B, renamed, seen_one_by_one, seen_together
from model_index import growth, new_key, swapped
from model_locks import contended, entry_used_again
from model_repairs import commit_killed, growth_killed
from model_segments import reopened, reuse
from weak_memory import Verdict, explore
from weak_program import Program

Build = Callable[[str], Program]

PROGRAMS: Final[dict[str, Build]] = {
    "segment, other key": partial(reuse, "j"),
    "segment, same key": partial(reuse, "k", reads=2),
    "segment, reopened": reopened,
    "growth, batch": growth,
    "growth, two reads": partial(growth, batch=False),
    "growth, killed": growth_killed,
    "new key": new_key,
    "keys come and go": swapped,
    "commit, batch a b": partial(seen_together, [A, B]),
    "commit, batch b a": partial(seen_together, [B, A]),
    "commit, batch a new": partial(seen_together, [A, B], fresh=True),
    "commit, batch new a": partial(seen_together, [B, A], fresh=True),
    "commit, reads a b": partial(seen_one_by_one, [A, B]),
    "commit, reads b a": partial(seen_one_by_one, [B, A]),
    "commit, rename": renamed,
    "commit, killed": commit_killed,
    "lock": contended,
    "lock, dead": partial(contended, dead="A"),
    "lock, dead and killed": partial(contended, dead="A", killable="B"),
    "lock, entry used again": entry_used_again,
}

LARGE: Final[dict[str, Build]] = {
    "commit, two repairers": partial(commit_killed, mortal="other repairer"),
    "lock, killed": partial(contended, killable="A"),
    "lock, all killed": partial(contended, killable="ABC"),
    "segment, other key, two reads": partial(reuse, "j", reads=2),
    "segment, same key, three reads": partial(reuse, "k", reads=3),
}


class Control(NamedTuple):
    """What is left out: orders by the steps that have them, or one check; and who notices."""

    program: str
    orders: tuple[str, ...] = ()
    check: str = ""


ORDERS: Final = [
    Control("growth, two reads", ("fkv_search_racy: shape",)),
    Control(
        "growth, two reads", ("probe: slot", "fkv_search_racy: fence")
    ),  # one of them is enough
    Control("segment, same key", ("probe: slot", "read_item: slot again")),  # the same
    Control("segment, same key", ("read_item: generation",)),
    Control("segment, same key", ("read_item: slot again",)),
    Control("segment, other key", ("probe: fence",)),
    Control("segment, other key", ("fkv_still_valid: fence",)),
    Control("commit, batch b a", ("fkv_still_valid: fence",)),
    Control("segment, other key", ("fkv_slot_store_locked: slot",)),
    Control("keys come and go", ("fkv_slot_store_locked: shape",)),
    Control("segment, same key", ("free_one_listed: generation",)),
    Control("segment, other key", ("free_one_listed: state", "fkv_lock_release: owner")),
    Control("segment, other key", ("kind_of: state", "fkv_lock_take: change")),
    Control("segment, other key", ("prepare_listed: fence",)),
    Control("segment, reopened", ("prepare_listed: fence", "fkv_append_close: state")),
    Control("segment, reopened", ("open_closed: state",)),
    Control("segment, reopened", ("open_closed: fence",)),
    Control("growth, two reads", ("fkv_grow_locked: shape",)),
    Control("growth, two reads", ("fkv_grow_locked: fence", "recount_page: slot")),
    Control("growth, killed", ("recount_page: slot",)),
    Control("growth, killed", ("fkv_mend_partition: shape",)),
    Control("commit, batch b a", ("fkv_unflag_locked: shape",)),
    Control("commit, killed", ("fkv_set_intent: commit",)),
    Control("commit, killed", ("fkv_set_intent: done",)),
    Control("lock", ("fkv_lock_take: change",)),
    Control("lock", ("fkv_lock_release: owner",)),
    Control("lock", ("fkv_lock_release: sem_post",)),
    Control("lock", ("try_or_announce: take",)),
    Control("lock, dead and killed", ("fkv_lock_take_over: change",)),
    Control("lock, entry used again", ("take_entry: fence",)),
    Control("lock, entry used again", ("wait_for: owner after the nap",)),
]

CHECKS: Final = [
    Control("segment, same key", check="second slot load"),
    Control("segment, same key", check="doubt when the slot changed"),
    Control("segment, other key", check="doubt of a mismatch"),
    Control("segment, same key", check="generation at the end"),
    Control("segment, other key", check="clear before freeing"),
    Control("growth, two reads", check="shape again"),
    Control("growth, two reads", check="copying before publishing"),
    Control("growth, batch", check="clearing before the lock is free"),
    Control("growth, batch", check="second round"),
    Control("growth, killed", check="dropping slots that moved"),
    Control("new key", check="raising passed"),
    Control("keys come and go", check="shape of a miss"),
    Control("keys come and go", check="shape goes up with a new key"),
    Control("commit, batch a b", check="slot at the end"),
    Control("commit, batch a b", check="flag"),
    Control("commit, reads a b", check="commit flag"),
    Control("commit, batch b a", check="commit flag at the end"),
    Control("commit, rename", check="commit flag at the end"),
    Control("commit, batch b a", check="flag before slot"),
    Control("commit, killed", check="flag before the commit word"),
    Control("commit, killed", check="commit word before the slots"),
    Control("commit, killed", check="finish what was committed"),
    Control("commit, killed", check="wait for other repairers"),
    Control("commit, killed", check="free the entry last"),
    Control("lock", check="announcing"),
    Control("lock", check="waiters bit when a waiter takes it"),
    Control("lock", check="post"),
    Control("lock", check="asking"),
    Control("lock, dead", check="takeover by compare-and-swap"),
    Control("lock, entry used again", check="generation in the owner word"),
]

# Orders that no program misses alone, and why. They stay: each says what its word is for.
NOT_MISSED: Final = {
    "probe: slot": "for a hit the second load acquires, for a miss the fence",
    "probe: passed": "the fence before the shape is compared does it too",
    "fkv_search_racy: fence": "every load before it acquires already",
    "passed_add": "the slot's release comes after it",
    "free_one_listed: state": "the list lock hands the segment over, too",
    "kind_of: state": "the list lock hands the segment over, too",
    "set_state: open": "nobody but its owner reads on from it",
    "fkv_append_close: state": "the fence before it covers it",
    "fkv_grow_locked: fence": "the slots are cleared by stores that release",
    "fkv_flag_locked: shape": "readers of a flag read no further; what comes after it releases",
    "fkv_finish_commit_locked: identity": "the kernel's answer brings all that the dead stored",
    "fkv_finish_commit_locked: intent": "the same",
    "finish_intent_locked: slot": "taking the flag away releases",
    "finish_flagged: shape": "it is looked at again under the lock",
    "try_or_announce: announce": "it takes nothing",
    "fkv_owner_alive: identity": "nothing is read through it",
    "take_entry: identity": "nothing is read through it",
    "take_entry: identity taken": "the fence after it does it",
    "repair_entry: intent": "it is read under the dead one's locks, which are gone by then",
    "repair_entry: identity freed": "its next user reads nothing through it",
    "repair_entry: identity": "its next user reads nothing through it",
}


def judge(control: Control, *, shortest: bool) -> Verdict:
    """What goes wrong without what the control leaves out."""
    program = PROGRAMS[control.program](control.check)
    return explore(program, frozenset(control.orders), shortest=shortest)


def missed_somewhere(order: str) -> Iterator[str]:
    """The programs that go wrong without this one order."""
    for name, build in PROGRAMS.items():
        program = build("")
        if explore(program, frozenset({order}), shortest=False).wrong is not None:
            yield name


def print_programs(programs: dict[str, Build]) -> bool:
    well = True
    for name, build in programs.items():
        began = time.monotonic()
        program = build("")
        verdict = explore(program)
        well &= verdict.wrong is None
        seconds = time.monotonic() - began
        result = verdict.wrong or "holds"
        print(f"{name:32} {verdict.states:7} states {seconds:5.1f} s  {result}: {program.name}")
        print_trace(verdict)
    return well


def print_trace(verdict: Verdict) -> None:
    for line in verdict.trace:
        print(f"        {line}")


def print_controls(title: str, controls: list[Control], *, traces: bool) -> bool:
    print(f"\n{title}")
    well = True
    for control in controls:
        verdict = judge(control, shortest=True)
        well &= verdict.wrong is not None
        what = " and ".join(control.orders) or control.check
        steps = f"after {len(verdict.trace)} steps: {verdict.wrong}" if verdict.wrong else "NOTHING"
        print(f"{what:58} {control.program:24} {steps}")
        if traces:
            print_trace(verdict)
    return well


def print_not_missed() -> bool:
    print("\nleft out alone, an order that nobody misses")
    well = True
    for order, why in NOT_MISSED.items():
        missed = list(missed_somewhere(order))
        well &= not missed
        print(f"{order:40} {f'MISSED by {missed}' if missed else why}", flush=True)
    return well


def main(arguments: list[str]) -> int:
    traces, everything = "--traces" in arguments, "--all" in arguments
    well = print_programs({**PROGRAMS, **LARGE} if everything else PROGRAMS)
    well &= print_controls("without an order", ORDERS, traces=traces)
    well &= print_controls("without a check", CHECKS, traces=traces)
    if everything:
        well &= print_not_missed()
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
