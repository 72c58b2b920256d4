"""Whether the history of one key is linearizable: could its operations have come one by one?

The search of Wing and Gong, with Lowe's memory of what has failed: of the operations that no other
must precede, take one that fits the state, and go on; where none fits, go back. Linearizability is
local, so keys are checked one at a time. An operation whose outcome is unknown, because its process
or its connection died, may have happened at any time after its call, or never.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Value = str | None  # None: no such key
Reply = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One call on one key; times are of one clock for all processes."""

    name: str  # a key of STEPS
    argument: str  # "" for those that take none
    call: int
    end: int | None  # None: the outcome is unknown
    reply: Reply = None
    process: str = ""

    def __str__(self) -> str:
        shown = f"{self.name} {self.argument:.24}".rstrip()
        outcome = "?" if self.end is None else f"{self.reply!r:.28} at {self.end}"
        return f"{self.process} {shown} at {self.call} -> {outcome}"


def _append(value: Value, argument: str) -> tuple[Value, Reply]:
    longer = (value or "") + argument
    return longer, len(longer)


# What each operation makes of a value, and what it replies.
STEPS: dict[str, Callable[[Value, str], tuple[Value, Reply]]] = {
    "get": lambda value, _: (value, value),
    "set": lambda _, argument: (argument, True),
    "getset": lambda value, argument: (argument, value),
    "setnx": lambda value, argument: (argument, True) if value is None else (value, False),
    "delete": lambda value, _: (None, value is not None),
    "incr": lambda value, _: (str(int(value or 0) + 1), int(value or 0) + 1),
    "append": _append,
}


@dataclass(frozen=True, slots=True)
class _Config:
    """How far a search has come: all known operations before `first` are taken, further ones and
    unknown ones as the bits say."""

    first: int
    beyond: int  # bit i: known[first + i]; bit 0 is never set
    lost: int  # bit i: unknown[i]
    value: Value

    def with_known(self, index: int, value: Value) -> "_Config":
        first, beyond = self.first, self.beyond | 1 << (index - self.first)
        while beyond & 1:
            first, beyond = first + 1, beyond >> 1
        return _Config(first, beyond, self.lost, value)

    def with_unknown(self, index: int, value: Value) -> "_Config":
        return _Config(self.first, self.beyond, self.lost | 1 << index, value)

    @property
    def taken(self) -> int:
        return self.first + self.beyond.bit_count()


class _Search:
    def __init__(self, history: Sequence[Operation]) -> None:
        by_call = sorted(history, key=lambda operation: operation.call)
        self.known = [each for each in by_call if each.end is not None]
        self.unknown = [each for each in by_call if each.end is None]

    def run(self) -> _Config | None:
        """None: linearizable. Else where it came furthest."""
        furthest = _Config(0, 0, 0, None)
        stack, seen = [furthest], {furthest}
        while stack:
            config = stack.pop()
            if config.first == len(self.known):
                return None
            if config.taken > furthest.taken:
                furthest = config
            further = [each for each in self.successors(config) if each not in seen]
            seen.update(further)
            stack.extend(reversed(further))
        return furthest

    def candidates(self, config: _Config) -> tuple[list[int], int]:
        """The known operations that may come next, and when the first of them ended."""
        first_end = self.known[config.first].end or 0
        found = []
        for index in range(config.first, len(self.known)):
            operation = self.known[index]
            if operation.call > first_end:
                break
            if not config.beyond >> (index - config.first) & 1:
                found.append(index)
                first_end = min(first_end, operation.end or 0)
        return found, first_end

    def successors(self, config: _Config) -> Iterator[_Config]:
        """What may come next, the likeliest first: what ended first, the unknown last."""
        found, first_end = self.candidates(config)
        steps = []
        for index in sorted(found, key=lambda index: self.known[index].end or 0):
            operation = self.known[index]
            value, reply = STEPS[operation.name](config.value, operation.argument)
            if reply == operation.reply:
                if value == config.value:  # it changes nothing: if it may come now, let it
                    yield config.with_known(index, value)
                    return
                steps.append(config.with_known(index, value))
        yield from steps
        yield from self.unknown_successors(config, first_end)

    def unknown_successors(self, config: _Config, before: int) -> Iterator[_Config]:
        """Of unknown operations with one effect only the first: it fits wherever another does."""
        effects = set()
        for index, operation in enumerate(self.unknown):
            if operation.call > before:
                break
            effect = (operation.name, operation.argument)
            if config.lost >> index & 1 or effect in effects:
                continue
            effects.add(effect)
            value, _ = STEPS[operation.name](config.value, operation.argument)
            if value != config.value:
                yield config.with_unknown(index, value)


def refute(history: Sequence[Operation]) -> str | None:
    """None: the history is linearizable. Else where every order of its operations gets stuck."""
    search = _Search(history)
    stuck = search.run()
    if stuck is None:
        return None
    found, _ = search.candidates(stuck)
    waiting = "\n  ".join(str(search.known[index]) for index in found)
    return (
        f"after {stuck.taken} of {len(search.known)} operations the value is {stuck.value!r:.60}, "
        f"and none of these can come next:\n  {waiting}"
    )
