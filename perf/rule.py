"""What a rule is: conditions over quantities, and the sentences to say when they hold.

A rule speaks only when every number that it names is known and every condition holds. {name} in a
sentence is a quantity (perf/quantities.py).
"""

from dataclasses import dataclass
from string import Formatter
from typing import Final, Literal

from forkkv.perf.quantities import Quantities, in_words

ENOUGH: Final = 100  # commands, reads or writes below which a ratio says little


@dataclass(frozen=True)
class Condition:
    """A quantity against a threshold."""

    quantity: str
    operator: Literal[">", "<", "="]
    threshold: float

    def holds(self, known: Quantities) -> bool:
        """False also when the quantity is not known."""
        value = known.get(self.quantity)
        if value is None:
            return False
        if self.operator == "=":
            return value == self.threshold
        return value > self.threshold if self.operator == ">" else value < self.threshold


def above(quantity: str, threshold: float) -> Condition:
    """The quantity must be larger than the threshold."""
    return Condition(quantity, ">", threshold)


def below(quantity: str, threshold: float) -> Condition:
    """The quantity must be smaller than the threshold."""
    return Condition(quantity, "<", threshold)


def equal(quantity: str, threshold: float) -> Condition:
    """The quantity must be exactly the threshold."""
    return Condition(quantity, "=", threshold)


@dataclass(frozen=True)
class Rule:
    """One row. `roles` names the processes that it looks at; "server" is all of them together."""

    situation: str
    roles: tuple[str, ...]
    when: tuple[Condition, ...]
    observation: str
    meaning: str
    inference: str
    cannot_tell: str
    finding: bool = True

    @property
    def quantities(self) -> frozenset[str]:
        """Every quantity that the row needs."""
        texts = (self.observation, self.meaning, self.inference)
        named = {field for text in texts for _, field, _, _ in Formatter().parse(text) if field}
        return frozenset(named | {condition.quantity for condition in self.when})

    def applies(self, role: str, known: Quantities) -> bool:
        """Whether the row speaks about a process of this role with these numbers."""
        if role not in self.roles or not self.quantities <= known.keys():
            return False
        return all(condition.holds(known) for condition in self.when)


def say(template: str, known: Quantities) -> str:
    """Fills a rule's sentence with the numbers."""
    return template.format(**{name: in_words(name, value) for name, value in known.items()})
