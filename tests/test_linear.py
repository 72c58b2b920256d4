"""The linearizability checker accepts what could have happened and refutes what could not."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, permutations

import pytest
from linear import STEPS, Operation, Reply, refute


def done(name: str, argument: str, call: int, end: int, reply: Reply = True) -> Operation:
    """An operation that returned."""
    return Operation(name, argument, call, end, reply)


def lost(name: str, argument: str, call: int) -> Operation:
    """An operation whose process died."""
    return Operation(name, argument, call, None)


GOOD = {
    "nothing": [],
    "one after the other": [
        done("get", "", 1, 2, None),
        done("set", "a", 3, 4),
        done("getset", "b", 5, 6, "a"),
        done("append", "c", 7, 8, 2),
        done("get", "", 9, 10, "bc"),
        done("delete", "", 11, 12, True),
        done("delete", "", 13, 14, False),
        done("incr", "", 15, 16, 1),
        done("setnx", "d", 17, 18, False),
        done("get", "", 19, 20, "1"),
    ],
    "a read beside a write may see either value": [
        done("set", "a", 1, 2),
        done("set", "b", 3, 10),
        done("get", "", 4, 5, "a"),
        done("get", "", 6, 7, "b"),
    ],
    "the order of calls is not the order of effects": [
        done("set", "a", 1, 10),
        done("set", "b", 2, 9),
        done("get", "", 11, 12, "a"),
    ],
    "increments side by side": [
        done("incr", "", 1, 10, 2),
        done("incr", "", 2, 9, 1),
        done("incr", "", 3, 8, 3),
    ],
    "an unknown write that nobody saw": [lost("set", "a", 1), done("get", "", 2, 3, None)],
    "an unknown write that happened late": [
        lost("set", "a", 1),
        done("set", "b", 2, 3),
        done("get", "", 4, 5, "b"),
        done("get", "", 6, 7, "a"),
    ],
    "one of two unknown increments happened": [
        done("incr", "", 1, 2, 1),
        lost("incr", "", 3),
        lost("incr", "", 4),
        done("incr", "", 5, 6, 3),
        done("get", "", 7, 8, "3"),
    ],
    "two unknown deletes let SET NX win twice": [
        done("setnx", "a", 1, 2),
        lost("delete", "", 3),
        done("setnx", "b", 4, 5),
        done("setnx", "c", 6, 7, False),
    ],
}

BAD = {
    "a stale read": [
        done("set", "a", 1, 2),
        done("set", "b", 3, 4),
        done("get", "", 5, 6, "a"),
    ],
    "a lost update": [
        done("incr", "", 1, 3, 1),
        done("incr", "", 2, 4, 1),
    ],
    "an acknowledged write that is gone": [
        done("set", "a", 1, 2),
        done("get", "", 3, 4, None),
    ],
    "a value from nowhere": [done("set", "a", 1, 2), done("get", "", 3, 4, "b")],
    "a value from the future": [done("get", "", 1, 2, "a"), done("set", "a", 3, 4)],
    "two winners of SET NX": [done("setnx", "a", 1, 5), done("setnx", "b", 2, 6)],
    "two reads that saw two orders": [
        done("set", "a", 1, 10),
        done("set", "b", 1, 10),
        done("get", "", 11, 12, "a"),
        done("get", "", 13, 14, "b"),
    ],
    "an unknown write seen, then not": [
        done("set", "a", 1, 2),
        lost("set", "b", 3),
        done("get", "", 4, 5, "b"),
        done("get", "", 6, 7, "a"),
    ],
    "an unknown write seen before its call": [
        done("get", "", 1, 2, "a"),
        lost("set", "a", 3),
    ],
    "an unknown increment counted twice": [
        lost("incr", "", 1),
        done("incr", "", 2, 3, 3),
    ],
    "a refused SET NX without a value": [done("setnx", "a", 1, 2, False)],
    "an append that lost one before": [
        done("append", "a", 1, 2, 1),
        done("append", "b", 3, 4, 1),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_what_could_have_happened_is_accepted(name: str) -> None:
    assert refute(GOOD[name]) is None


@pytest.mark.parametrize("name", BAD)
def test_what_could_not_have_happened_is_refuted(name: str) -> None:
    assert refute(BAD[name]) is not None


def test_a_refutation_says_where_it_is_stuck() -> None:
    text = refute(BAD["a stale read"])
    assert text is not None
    assert "after 2 of 3 operations the value is 'b'" in text
    assert "get at 5 -> 'a' at 6" in text


def made_history(chance: random.Random, count: int, overlap: int) -> list[Operation]:
    """Operations on few values that happened one by one, each somewhere within its time."""
    value, history = None, []
    for number in range(count):
        name, argument = chance.choice(list(STEPS.keys() - {"incr"})), str(number % 1000)
        call, end = 10 * number - chance.randrange(overlap), 10 * number + 1
        if chance.random() < 0.02:
            history.append(lost(name, argument, call))
            if chance.random() < 0.5:
                continue
        value, reply = STEPS[name](value, argument)
        if history[-1:] != [lost(name, argument, call)]:
            history.append(done(name, argument, call, end + chance.randrange(overlap), reply))
    return history


def possible(history: Sequence[Operation]) -> bool:
    """The definition itself: tries every order of every choice of what happened."""
    sure = [each for each in history if each.end is not None]
    maybe = [each for each in history if each.end is None]
    chosen = [sure + list(some) for n in range(len(maybe) + 1) for some in combinations(maybe, n)]
    return any(fits(order) for some in chosen for order in permutations(some))


def fits(order: Sequence[Operation]) -> bool:
    """Whether it keeps to the times and every reply is the one that was given."""
    value, latest_call = None, 0
    for each in order:
        value, reply = STEPS[each.name](value, each.argument)
        if each.end is not None and (reply != each.reply or each.end < latest_call):
            return False
        latest_call = max(latest_call, each.call)
    return True


@pytest.fixture
def chance() -> random.Random:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


def test_it_agrees_with_trying_every_order(chance: random.Random) -> None:
    verdicts = {True: 0, False: 0}
    for _ in range(1500):
        history = made_history(chance, 5, 40)
        wrong = chance.randrange(len(history))
        reply = chance.choice([None, True, False, "0", "1", 1, 2])
        history[wrong] = replace(history[wrong], reply=reply)
        verdict = possible(history)
        verdicts[verdict] += 1
        assert (refute(history) is None) == verdict, history
    assert min(verdicts.values()) > 100


def test_a_long_history_is_judged_rightly(chance: random.Random) -> None:
    history = made_history(chance, 4000, 40)
    assert refute(history) is None
    last = max(each.end or each.call for each in history)
    short = made_history(chance, 60, 20)
    assert refute([*short, done("get", "", last + 1, last + 2, "nowhere")]) is not None
