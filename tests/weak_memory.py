"""A checker of small concurrent programs: it explores every execution that a weak memory allows.

The memory is the operational, view-based one of "A Promising Semantics for Relaxed-Memory
Concurrency" (J. Kang, C. Hur, O. Lahav, V. Vafeiadis, D. Dreyer, POPL 2017) without promises.
Each location holds its messages in modification order. A thread's *view* says, per location, which
message is the oldest that it may still read. A store adds a message anywhere behind the view; a
release gives the message the writer's view, an acquire takes it over; fences do it for all that
was stored after them or loaded before them. A read-modify-write stays next to what it read and
carries on its view. Without promises no load returns what is stored later in its own cause (no
load buffering). A sequentially consistent order is taken for acquire and release: never stronger.

Threads may be killed. All that a dead thread stored is in memory, and who asks the kernel learns
of it; but compilers may move relaxed stores, so those that no release followed may be missing.
"""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from weak_program import (
    ACQUIRE,
    DEAD,
    ORDER_NAMES,
    RELAXED,
    RELEASE,
    RETRY,
    SKIP,
    STOP,
    Outcome,
    Program,
    Step,
    Value,
    Wrong,
)
from weak_state import (
    Message,
    State,
    Thread,
    View,
    at_least,
    drop_newest,
    join,
    lowered,
    make_place,
    with_messages,
    with_thread,
    with_views,
)

EARLY: Final = ("store", "fence")  # steps that need not wait for other threads: see `movers`


@dataclass
class Verdict:
    """What exploring a program came to; `trace` leads to what is wrong."""

    states: int = 0
    wrong: str | None = None
    trace: list[str] = field(default_factory=list)
    says: set[str] = field(default_factory=set)  # of all steps
    orders: dict[str, str] = field(default_factory=dict)  # of those that could be weakened
    outcomes: set[tuple[tuple[Any, ...], ...]] = field(default_factory=set)


class Ended(NamedTuple):
    value: Any


class Explorer:
    """One program; `weaken` names the steps whose order is made relaxed."""

    def __init__(self, program: Program, weaken: frozenset[str] = frozenset()) -> None:
        self.program = program
        self.weaken = weaken
        self.names = list(program.threads)
        self.scripts = list(program.threads.values())
        self.location = {name: number for number, name in enumerate(program.initial)}
        self.killable = [name in program.killable for name in self.names]
        self.peeked: dict[tuple[int, int, tuple[Any, ...]], Step | Ended | Wrong] = {}
        self.verdict = Verdict()
        self.kinds = {
            "load": self.loads,
            "store": self.stores,
            "update": self.updates,
            "fence": self.fences,
            "ask": self.asks,
            "sleep": self.sleeps,
        }

    def peek(self, number: int, operation: int, history: tuple[Any, ...]) -> Step | Ended | Wrong:
        """What a thread does next: its script, run again with what its steps returned."""
        key = (number, operation, history)
        if key not in self.peeked:
            script = self.scripts[number][operation]()
            try:
                step = next(script)
                for value in history:
                    step = script.send(value)
                self.peeked[key] = self.as_weakened(step)
            except StopIteration as end:
                self.peeked[key] = Ended(end.value)
            except Wrong as wrong:
                self.peeked[key] = wrong
        return self.peeked[key]

    def as_weakened(self, step: Step) -> Step:
        self.verdict.says.add(step.says)
        if step.order != RELAXED and step.kind != "sleep":
            self.verdict.orders[step.says] = ORDER_NAMES[step.order]
        return step._replace(order=RELAXED) if step.says in self.weaken else step

    def start(self) -> State:
        nothing = (0,) * len(self.location)
        memory = tuple((Message(value, nothing),) for value in self.program.initial.values())
        thread = Thread(0, (), (), nothing, nothing, nothing)
        corpse = thread._replace(results=(DEAD,), dead=True)
        threads = (corpse if name in self.program.dead else thread for name in self.names)
        return State(memory, tuple(threads))

    def runs(self, number: int, thread: Thread) -> bool:
        return not thread.dead and thread.operation < len(self.scripts[number])

    def went_on(self, state: State, number: int, thread: Thread, value: Any) -> State:
        """The state after the thread's step returned `value`."""
        thread = thread._replace(history=(*thread.history, value))
        step = self.peek(number, thread.operation, thread.history)
        if isinstance(step, Ended):
            ways = {RETRY: 0, SKIP: 2, STOP: len(self.scripts[number])}
            way = ways.get(step.value, 1) if isinstance(step.value, str) else 1
            thread = thread._replace(
                operation=thread.operation + way,
                history=(),
                results=(*thread.results, step.value) if way else thread.results,
            )
        return self.tidy(with_thread(state, number, thread))

    def tidy(self, state: State) -> State:
        """Forgets the messages that nobody can read any more: states that differ only in them
        are one. A thread that has ended needs no views, but for the dead one's, which its
        survivors ask for."""
        running = [t.current for n, t in enumerate(state.threads) if self.runs(n, t)]
        if not running:
            return state
        floor = tuple(map(min, zip(*running, strict=True)))
        if any(floor):
            memory = tuple(m[f:] for m, f in zip(state.memory, floor, strict=True))
            state = with_views(
                state._replace(memory=memory),
                lambda view: lowered(view, floor),
            )
        nothing = (0,) * len(floor)
        threads = tuple(
            t._replace(acquired=nothing, released=nothing)
            if t.dead
            else t
            if self.runs(n, t)
            else t._replace(current=nothing, acquired=nothing, released=nothing)
            for n, t in enumerate(state.threads)
        )
        return state._replace(threads=threads)

    # ---- steps ----

    def loads(self, state: State, number: int, step: Step) -> Iterator[tuple[str, State]]:
        location, thread = self.location[step.at], state.threads[number]
        messages = state.memory[location]
        for position in range(thread.current[location], len(messages)):
            message = messages[position]
            if step.value is None or message.value == step.value:
                after = self.seen(thread, location, position, message.view, step.order)
                yield f"= {message.value}", self.went_on(state, number, after, message.value)

    @staticmethod
    def seen(thread: Thread, location: int, position: int, view: View, order: int) -> Thread:
        current = at_least(thread.current, location, position)
        acquired = join(at_least(thread.acquired, location, position), view)
        if order & ACQUIRE:
            current = join(current, view)
        return thread._replace(current=current, acquired=join(acquired, current))

    def stores(self, state: State, number: int, step: Step) -> Iterator[tuple[str, State]]:
        location = self.location[step.at]
        messages, seen = state.memory[location], state.threads[number].current[location]
        for position in range(seen + 1, len(messages) + 1):
            if position == len(messages) or not messages[position].attached:
                after = self.put(state, number, step, position, step.value)
                thread = after.threads[number]
                yield f"= {step.value}", self.went_on(after, number, thread, None)

    def put(
        self,
        state: State,
        number: int,
        step: Step,
        position: int,
        value: Value,
        *,
        rmw: bool = False,
    ) -> State:
        """Adds a message at `position`: a store, or a read-modify-write of the one before."""
        assert step.at not in self.program.constant
        location = self.location[step.at]
        carried = state.memory[location][position - 1].view if rmw else None
        state = make_place(state, location, position)
        if step.order & RELEASE:
            state = self.tighten(state, number)
        thread = state.threads[number]
        thread = thread._replace(
            current=at_least(thread.current, location, position),
            acquired=at_least(thread.acquired, location, position),
        )
        view = thread.current if step.order & RELEASE else thread.released
        view = at_least(view, location, position)
        if carried is not None:
            view = join(view, carried)
        held = rmw and step.order & ACQUIRE  # nothing later comes before it
        loose = number if self.killable[number] and not held else -1
        messages = state.memory[location]
        new = Message(value, view, rmw, loose)
        state = with_messages(state, location, (*messages[:position], new, *messages[position:]))
        return with_thread(state, number, thread)

    def tighten(self, state: State, number: int) -> State:
        """After a release of this thread whatever it stored before cannot be missing."""
        if not self.killable[number]:
            return state
        return state._replace(
            memory=tuple(
                tuple(m._replace(loose=-1) if m.loose == number else m for m in messages)
                for messages in state.memory
            )
        )

    def updates(self, state: State, number: int, step: Step) -> Iterator[tuple[str, State]]:
        assert step.change is not None
        location, thread = self.location[step.at], state.threads[number]
        messages = state.memory[location]
        for position in range(thread.current[location], len(messages)):
            message = messages[position]
            value = step.change(message.value)
            if value is None:
                if step.value is None:  # a failed compare-and-exchange is a relaxed load
                    after = self.seen(thread, location, position, message.view, RELAXED)
                    yield (
                        f"stays {message.value}",
                        self.went_on(state, number, after, message.value),
                    )
                continue
            if position + 1 < len(messages) and messages[position + 1].attached:
                continue
            after = self.seen(thread, location, position, message.view, step.order)
            put = self.put(
                with_thread(state, number, after), number, step, position + 1, value, rmw=True
            )
            yield (
                f"{message.value} -> {value}",
                self.went_on(put, number, put.threads[number], message.value),
            )

    def fences(self, state: State, number: int, step: Step) -> Iterator[tuple[str, State]]:
        thread = state.threads[number]
        if step.order & ACQUIRE:
            thread = thread._replace(current=thread.acquired)
        if step.order & RELEASE:
            state = self.tighten(state, number)
            thread = thread._replace(released=thread.current)
        yield "", self.went_on(state, number, thread, None)

    def asks(self, state: State, number: int, step: Step) -> Iterator[tuple[str, State]]:
        """Death is believed from the kernel, which takes its locks as any of its callers do: so
        all that the dead had stored is known with the answer."""
        thread, other = state.threads[number], state.threads[self.names.index(step.value)]
        if other.dead:
            current = join(thread.current, other.current)
            thread = thread._replace(current=current, acquired=join(thread.acquired, current))
        yield ("dead" if other.dead else "lives"), self.went_on(state, number, thread, other.dead)

    def sleeps(self, state: State, number: int, step: Step) -> Iterator[tuple[str, State]]:
        wait = step._replace(
            change=lambda posts: posts - 1 if posts > 0 else None, value=True, order=ACQUIRE
        )
        yield from self.updates(state, number, wait)

    def timeouts(self, state: State, *, needed: bool) -> Iterator[tuple[str, State]]:
        """The end of one sleeper's wait. Those that are needed, for nothing else can happen, are
        counted: needing more than are allowed is to wait for ever."""
        allowed = self.program.timeouts + sum(thread.dead for thread in state.threads)
        for number, thread in enumerate(state.threads):
            step = self.next_of(state, number)
            if not isinstance(step, Step) or step.kind != "sleep":
                continue
            if needed and thread.timeouts < allowed:
                newest = len(state.memory[self.location[step.value]]) - 1
                thread = self.seen(
                    thread, self.location[step.value], newest, thread.current, RELAXED
                )
                thread = thread._replace(timeouts=thread.timeouts + 1)
            elif needed:
                continue
            text = f"{self.names[number]}: {step.says}: {'no post comes' if needed else 'timeout'}"
            yield text, self.went_on(state, number, thread, False)

    # ---- deaths ----

    def kills(self, state: State, numbers: Sequence[int]) -> Iterator[tuple[str, State]]:
        if sum(thread.dead for thread in state.threads) == self.program.kills:
            return
        for number in numbers:
            thread = state.threads[number]
            if not self.killable[number] or not self.runs(number, thread):
                continue
            for lost, left in self.lose(state, number):
                corpse = left.threads[number]._replace(
                    history=(), results=(*thread.results, DEAD), dead=True
                )
                yield (
                    f"{self.names[number]}: killed{lost}",
                    self.tidy(with_thread(left, number, corpse)),
                )

    @staticmethod
    def known_to_others(state: State, number: int, location: int) -> int:
        others = (t for n, t in enumerate(state.threads) if n != number)
        return max((max(t.acquired[location], t.current[location]) for t in others), default=0)

    def lose(self, state: State, number: int) -> Iterator[tuple[str, State]]:
        """What a death may leave: all that the thread stored, or less by what nobody has seen."""
        unseen = []
        for location, messages in enumerate(state.memory):
            count = 0
            if messages[-1].loose == number:
                known = self.known_to_others(state, number, location)
                while len(messages) - count - 1 > known and messages[-count - 1].loose == number:
                    count += 1
            unseen.append(count)
        for counts in itertools.product(*(range(count + 1) for count in unseen)):
            left = state
            for location, count in enumerate(counts):
                left = drop_newest(left, location, count)
            names = [n for n, c in zip(self.location, counts, strict=True) if c]
            yield (f", before its store to {', '.join(names)} is out" if names else ""), left

    # ---- all of it ----

    def next_of(self, state: State, number: int) -> Step | Ended | Wrong | None:
        thread = state.threads[number]
        if not self.runs(number, thread):
            return None
        return self.peek(number, thread.operation, thread.history)

    def steps(self, state: State, number: int, step: Step) -> Iterator[tuple[str, State]]:
        place = f" {step.at}" if step.at else ""
        for text, after in self.kinds[step.kind](state, number, step):
            yield f"{self.names[number]}: {step.says}:{place} {text}".rstrip(": "), after

    def movers(self, state: State) -> list[tuple[int, Step]]:
        """Whose next step is tried. A store or fence that is next need not wait for other threads:
        a store that is early only adds to what they may read, and they may still put theirs before
        it. An answer "lives" that would have come between only sends who asked around again."""
        following = [(number, self.next_of(state, number)) for number in range(len(self.names))]
        steps = [(number, step) for number, step in following if isinstance(step, Step)]
        early = [
            (number, step)
            for number, step in steps
            if step.kind in EARLY or step.at in self.program.constant
        ]
        return early[:1] or steps

    def successors(self, state: State) -> tuple[list[tuple[str, State]], list[tuple[str, State]]]:
        """What the threads can do, and what deaths can."""
        movers = self.movers(state)
        moves = [move for number, step in movers for move in self.steps(state, number, step)]
        if not any(step.kind in EARLY for _, step in movers):
            moves += list(self.timeouts(state, needed=not moves))
        return moves, list(self.kills(state, [number for number, _ in movers]))

    def judge(self, state: State, stuck: bool) -> str | None:
        """What is wrong with a state, if anything is."""
        following = [self.next_of(state, number) for number in range(len(self.names))]
        for step in following:
            if isinstance(step, Wrong):
                return str(step)
        waiting = [n for n, step in zip(self.names, following, strict=True) if step is not None]
        if waiting:
            return f"{' and '.join(waiting)} would wait for ever" if stuck else None
        results = {n: t.results for n, t in zip(self.names, state.threads, strict=True)}
        memory = {n: m[-1].value for n, m in zip(self.location, state.memory, strict=True)}
        self.verdict.outcomes.add(tuple(results.values()))
        return self.program.wrong(Outcome(results, memory))

    def explore(self, *, shortest: bool) -> Verdict:
        """Breadth first, if the first wrong execution is to be a shortest one; else depth first,
        which finds one sooner."""
        start = self.start()
        came_from: dict[State, tuple[State, str] | None] = {start: None}
        queue = deque([start])
        while queue:
            state = queue.popleft() if shortest else queue.pop()
            moves, deaths = self.successors(state)
            self.verdict.wrong = self.judge(state, stuck=not moves)
            if self.verdict.wrong is not None:
                self.verdict.trace = trace_to(state, came_from)
                break
            for text, after in (*moves, *deaths):
                if after not in came_from:
                    came_from[after] = (state, text)
                    queue.append(after)
        self.verdict.states = len(came_from)
        return self.verdict


def trace_to(state: State, came_from: dict[State, tuple[State, str] | None]) -> list[str]:
    trace: list[str] = []
    before = came_from[state]
    while before is not None:
        trace.append(before[1])
        before = came_from[before[0]]
    return trace[::-1]


def explore(
    program: Program, weaken: frozenset[str] = frozenset(), *, shortest: bool = True
) -> Verdict:
    """Every execution of the program, or those up to the first wrong one."""
    return Explorer(program, weaken).explore(shortest=shortest)
