"""The state of a weak memory: messages per location, and what each thread has seen of them."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from weak_program import Value

View = tuple[int, ...]  # per location: position in its modification order


class Message(NamedTuple):
    value: Value
    view: View
    attached: bool = False  # a read-modify-write: nothing comes between it and what it read
    loose: int = -1  # the killable thread that stored it, until that releases


class Thread(NamedTuple):
    operation: int
    history: tuple[Any, ...]  # what the steps of this operation returned so far
    results: tuple[Any, ...]
    current: View
    acquired: View  # what an acquire fence will add
    released: View  # what a release fence has given to later stores
    timeouts: int = 0
    dead: bool = False


class State(NamedTuple):
    memory: tuple[tuple[Message, ...], ...]
    threads: tuple[Thread, ...]


def join(a: View, b: View) -> View:
    return a if a == b else tuple(map(max, a, b))


def at_least(view: View, location: int, position: int) -> View:
    if view[location] >= position:
        return view
    return (*view[:location], position, *view[location + 1 :])


@functools.lru_cache(maxsize=1 << 16)
def lowered(view: View, floor: View) -> View:
    """The view counted from `floor` on. The same ones come again and again."""
    return tuple(
        position - least if position > least else 0
        for position, least in zip(view, floor, strict=True)
    )


def with_views(state: State, change: Callable[[View], View]) -> State:
    """The state with every view in it changed."""
    memory = tuple(
        tuple(Message(m.value, change(m.view), m.attached, m.loose) for m in messages)
        for messages in state.memory
    )
    threads = tuple(
        Thread(*t[:3], change(t.current), change(t.acquired), change(t.released), *t[6:])
        for t in state.threads
    )
    return State(memory, threads)


def with_messages(state: State, location: int, messages: tuple[Message, ...]) -> State:
    return state._replace(
        memory=(*state.memory[:location], messages, *state.memory[location + 1 :])
    )


def with_thread(state: State, number: int, thread: Thread) -> State:
    return state._replace(threads=(*state.threads[:number], thread, *state.threads[number + 1 :]))


def make_place(state: State, location: int, position: int) -> State:
    """Moves on what views say of the messages from `position` on."""
    if position == len(state.memory[location]):
        return state
    return with_views(
        state, lambda v: at_least(v, location, v[location] + (v[location] >= position))
    )


def drop_newest(state: State, location: int, count: int) -> State:
    """The state as if the newest messages had never been stored. Nobody else has seen them."""
    if count == 0:
        return state
    kept = state.memory[location][:-count]
    state = with_messages(state, location, kept)
    last = len(kept) - 1
    return with_views(
        state,
        lambda v: v if v[location] <= last else (*v[:location], last, *v[location + 1 :]),
    )
