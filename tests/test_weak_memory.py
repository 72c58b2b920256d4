"""The checker of weak memory allows and forbids what the C11 memory model does: litmus tests."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from weak_memory import explore
from weak_program import (
    ACQ_REL,
    ACQUIRE,
    RELAXED,
    RELEASE,
    Outcome,
    Program,
    Script,
    Step,
    Wrong,
    ask_dead,
    await_update,
    fence,
    load,
    sleep,
    store,
    update,
)

Operation = Callable[[], Script]


def does(*steps: Step) -> Operation:
    """An operation that takes the steps in turn and returns what those returned that read."""

    def script() -> Script:
        values = []
        for step in steps:
            value = yield step
            if step.kind in ("load", "update"):
                values.append(value)
        return tuple(values)

    return script


def outcomes(*threads: Sequence[Step]) -> set[tuple[Any, ...]]:
    """What the threads together may read, over locations x, y, z that are 0 at first."""
    program = Program(
        "litmus",
        {"x": 0, "y": 0, "z": 0},
        {f"T{number}": [does(*steps)] for number, steps in enumerate(threads)},
        lambda _: None,
    )
    verdict = explore(program)
    assert verdict.wrong is None
    return {tuple(v for (read,) in results for v in read) for results in verdict.outcomes}


def w(at: str, value: int, order: int = RELAXED) -> Step:
    return store(at, value, order, "write")


def r(at: str, order: int = RELAXED) -> Step:
    return load(at, order, "read")


def add(at: str, order: int = RELAXED) -> Step:
    return update(at, lambda value: value + 1, order, "add")


def test_store_buffering_is_allowed_even_with_release_and_acquire() -> None:
    assert (0, 0) in outcomes(
        [w("x", 1, RELEASE), r("y", ACQUIRE)], [w("y", 1, RELEASE), r("x", ACQUIRE)]
    )


@pytest.mark.parametrize(
    ("release", "acquire", "allowed"),
    [(RELEASE, ACQUIRE, False), (RELAXED, ACQUIRE, True), (RELEASE, RELAXED, True)],
)
def test_a_message_passes_by_release_and_acquire_only(
    release: int, acquire: int, allowed: bool
) -> None:
    read = outcomes([w("x", 1), w("y", 1, release)], [r("y", acquire), r("x")])
    assert ((1, 0) in read) is allowed
    assert {(0, 0), (0, 1), (1, 1)} <= read


def test_one_location_is_never_read_backwards() -> None:
    assert outcomes([w("x", 1)], [r("x"), r("x")]) == {(0, 0), (0, 1), (1, 1)}


def test_readers_agree_on_the_order_of_one_location() -> None:
    read = outcomes([w("x", 1)], [w("x", 2)], [r("x"), r("x")], [r("x"), r("x")])
    assert (1, 2, 1, 2) in read
    assert (1, 2, 2, 1) not in read


def test_a_store_may_come_before_one_that_was_made_earlier_elsewhere() -> None:
    assert {(1, 2), (2, 1)} <= outcomes([w("x", 1)], [w("x", 2)], [r("x"), r("x")])


def test_independent_writes_may_be_seen_in_different_orders() -> None:
    read = outcomes(
        [w("x", 1, RELEASE)],
        [w("y", 1, RELEASE)],
        [r("x", ACQUIRE), r("y", ACQUIRE)],
        [r("y", ACQUIRE), r("x", ACQUIRE)],
    )
    assert (1, 0, 1, 0) in read


def test_loads_are_not_buffered_behind_later_stores() -> None:
    """The documented limit: processors and compilers that do it are outside of the model."""
    assert (1, 1) not in outcomes([r("x"), w("y", 1)], [r("y"), w("x", 1)])


def test_knowledge_is_passed_on_by_a_third_thread() -> None:
    read = outcomes(
        [w("x", 1), w("y", 1, RELEASE)],
        [r("y", ACQUIRE), w("z", 1, RELEASE)],
        [r("z", ACQUIRE), r("x")],
    )
    assert (1, 1, 0) not in read


@pytest.mark.parametrize(("between", "allowed"), [(add("y"), False), (w("y", 2), True)])
def test_only_a_read_modify_write_carries_a_release_on(between: Step, allowed: bool) -> None:
    read = outcomes([w("x", 1), w("y", 1, RELEASE)], [between], [r("y", ACQUIRE), r("x")])
    assert any(values[-2:] == (2, 0) for values in read if values[0] != 0) is allowed


@pytest.mark.parametrize(
    ("first", "second", "allowed"),
    [(RELEASE, ACQUIRE, False), (ACQUIRE, ACQUIRE, True), (RELEASE, RELEASE, True)],
)
def test_fences_pass_a_message_over_relaxed_accesses(
    first: int, second: int, allowed: bool
) -> None:
    writer = [w("x", 1), fence(first, "fence"), w("y", 1)]
    reader = [r("y"), fence(second, "fence"), r("x")]
    assert ((1, 0) in outcomes(writer, reader)) is allowed


def test_a_release_fence_covers_only_later_stores() -> None:
    assert (1, 0) in outcomes(
        [w("x", 1), w("y", 1), fence(RELEASE, "fence")], [r("y"), fence(ACQUIRE, "fence"), r("x")]
    )


def test_read_modify_writes_do_not_lose_one_another() -> None:
    assert outcomes([add("x")], [add("x")]) == {(0, 1), (1, 0)}
    assert sorted(outcomes([add("x")], [add("x")], [add("x"), r("x")]))[0][-1] > 0


def test_a_lock_by_read_modify_writes_needs_acquire_and_release() -> None:
    def section(take: int, give: int) -> Operation:
        def script() -> Script:
            yield await_update("x", lambda value: 1 if value == 0 else None, take, "take")
            inside = yield load("y", RELAXED, "inside")
            yield store("y", inside + 1, RELAXED, "inside")
            yield update("x", lambda _: 0, give, "give")
            return inside

        return script

    def found(take: int, give: int) -> str | None:
        def wrong(outcome: Outcome) -> str | None:
            return None if len(set(outcome.results.values())) == 2 else "an update is lost"

        threads = {name: [section(take, give)] for name in ("A", "B")}
        return explore(Program("lock", {"x": 0, "y": 0}, threads, wrong)).wrong

    assert found(ACQUIRE, RELEASE) is None
    assert found(RELAXED, RELEASE) == found(ACQUIRE, RELAXED) == "an update is lost"


def deadly(writer: Operation, *, kills: int = 1) -> set[Any]:
    """What a survivor reads of x and y once it knows of the writer's death."""

    def survivor() -> Script:
        if not (yield ask_dead("W", "ask")):
            return "lives"
        x = yield r("x")
        y = yield r("y")
        return x, y

    program = Program(
        "death",
        {"x": 0, "y": 0},
        {"W": [writer], "S": [survivor]},
        lambda _: None,
        killable=frozenset({"W"}),
        kills=kills,
    )
    return {survived for (_, (survived,)) in explore(program).outcomes}


def test_who_knows_of_a_death_knows_what_the_dead_released() -> None:
    read = deadly(does(w("x", 1, RELEASE), w("y", 1, RELEASE), r("x")))
    assert read == {"lives", (0, 0), (1, 0), (1, 1)}


def test_of_relaxed_stores_a_death_may_leave_the_later_alone() -> None:
    assert (0, 1) in deadly(does(w("x", 1), w("y", 1), r("x")))
    assert (0, 1) not in deadly(does(w("x", 1), fence(RELEASE, "fence"), w("y", 1), r("x")))


def test_without_a_death_nobody_is_told_of_one() -> None:
    assert deadly(does(w("x", 1)), kills=0) == {"lives"}


def test_a_sleeper_that_nobody_wakes_is_reported() -> None:
    def sleeper() -> Script:
        while not (yield sleep("posts", "x", "sleep")):
            pass

    program = Program("sleep", {"x": 0, "posts": 0}, {"S": [sleeper]}, lambda _: None)
    assert explore(program).wrong == "S would wait for ever"


def test_what_a_script_finds_wrong_is_reported_with_a_shortest_trace() -> None:
    def reader() -> Script:
        if (yield r("y", ACQUIRE)) == 1 and (yield r("x")) == 0:
            raise Wrong("late")

    writer = does(r("z"), w("x", 1), w("y", 1))
    program = Program(
        "trace", {"x": 0, "y": 0, "z": 0}, {"W": [writer], "R": [reader]}, lambda _: None
    )
    verdict = explore(program)
    assert verdict.wrong == "late"
    assert verdict.trace == [
        "W: read: z = 0",
        "W: write: x = 1",
        "W: write: y = 1",
        "R: read: y = 1",
        "R: read: x = 0",
    ]


def test_one_order_at_a_time_can_be_weakened_by_its_name() -> None:
    def wrong(outcome: Outcome) -> str | None:
        return "stale" if outcome.results["R"][0] == (1, 0) else None

    writer = does(w("x", 1), store("y", 1, RELEASE, "publish"))
    reader = does(load("y", ACQUIRE, "look"), r("x"))
    program = Program("weaken", {"x": 0, "y": 0}, {"W": [writer], "R": [reader]}, wrong)
    whole = explore(program)
    assert whole.wrong is None
    assert whole.orders == {"publish": "release", "look": "acquire"}
    assert explore(program, weaken=frozenset({"publish"})).wrong == "stale"
    assert explore(program, weaken=frozenset({"look"})).wrong == "stale"


def test_a_read_modify_write_may_be_acquire_and_release_at_once() -> None:
    read = outcomes(
        [w("x", 1), add("y", RELEASE)],
        [add("y", ACQ_REL), r("x")],
    )
    assert (0, 1, 0) not in read
