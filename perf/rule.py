"""What a rule is: conditions over quantities, and the sentences to say when they hold.

A rule speaks only when every number that it names is known and every condition holds. {name} in a
sentence is a quantity (perf/quantities.py).
"""

import math
from dataclasses import dataclass
from functools import cached_property
from string import Formatter
from typing import Final, Literal

from forkkv.perf.quantities import RATIOS, Quantities
from forkkv.perf.units import in_words

ENOUGH: Final = 100  # commands, reads or writes below which a ratio says little
SURE: Final = 0.99  # no finding is more certain
HEADS: Final = ("clients", "workers", "connections", "respawns")  # who came: no matter of chance


@dataclass(frozen=True)
class Condition:
    """A quantity against a threshold. `lenient`: it holds as well when the quantity is unknown."""

    quantity: str
    operator: Literal[">", "<", "="]
    threshold: float
    lenient: bool = False

    def holds(self, known: Quantities) -> bool:
        """Whether the quantity is on the right side of the threshold."""
        value = known.get(self.quantity)
        if value is None:
            return self.lenient
        if self.operator == "=":
            return value == self.threshold
        return value > self.threshold if self.operator == ">" else value < self.threshold

    def likelihood(self, known: Quantities) -> float:
        """How likely the true value is on that side, if the events came at random: 0.5 to 1.

        Counts are taken as Poisson, so a ratio a/b has a standard error of sqrt(1/a + 1/b) in its
        logarithm. What are no events (a time, or how many workers there are) is taken as it is.
        """
        value = known.get(self.quantity)
        what, per = RATIOS.get(self.quantity, (self.quantity, ""))
        counted = [known.get(name) for name in (what, per) if _are_events(name)]
        if value is None or value <= 0 or self.threshold <= 0 or self.operator == "=":
            return 1.0
        error = math.sqrt(sum(1 / events for events in counted if events))
        if error == 0:
            return 1.0
        distance = abs(math.log(value / self.threshold)) / error
        return 0.5 * (1 + math.erf(distance / math.sqrt(2)))


def _are_events(name: str) -> bool:
    return bool(name) and name not in HEADS and not name.endswith(("seconds", "_imbalance"))


def above(quantity: str, threshold: float, lenient: bool = False) -> Condition:
    """The quantity must be larger than the threshold."""
    return Condition(quantity, ">", threshold, lenient)


def below(quantity: str, threshold: float, lenient: bool = False) -> Condition:
    """The quantity must be smaller than the threshold."""
    return Condition(quantity, "<", threshold, lenient)


def equal(quantity: str, threshold: float) -> Condition:
    """The quantity must be exactly the threshold."""
    return Condition(quantity, "=", threshold)


@dataclass(frozen=True)
class Rule:
    """One row. `roles` names the processes that it looks at; "server" is all of them together.

    `certainty` is how well such numbers tell this situation from others, 0 to 1. `next` is a
    command that looks closer; {table}, {pid}, {port} and {directory} are filled in.
    """

    situation: str
    roles: tuple[str, ...]
    when: tuple[Condition, ...]
    observation: str
    meaning: str
    inference: str
    cannot_tell: str
    next: str = ""
    certainty: float = 1.0
    finding: bool = True

    @cached_property
    def quantities(self) -> frozenset[str]:
        """Every quantity that the row needs."""
        texts = (self.observation, self.meaning, self.inference)
        named = {field for text in texts for _, field, _, _ in Formatter().parse(text) if field}
        return frozenset(named | {each.quantity for each in self.when if not each.lenient})

    @property
    def all_quantities(self) -> frozenset[str]:
        """Those, and what it looks at if it is known."""
        return self.quantities | {each.quantity for each in self.when}

    def applies(self, role: str, known: Quantities) -> bool:
        """Whether the row speaks about a process of this role with these numbers."""
        if role not in self.roles or not self.quantities <= known.keys():
            return False
        return all(condition.holds(known) for condition in self.when)

    def confidence(self, known: Quantities) -> float:
        """Between 0 and SURE: the certainty, times how likely the weakest condition truly holds."""
        weakest = min((condition.likelihood(known) for condition in self.when), default=1.0)
        return min(SURE, self.certainty * weakest)


class _InWords(dict[str, float]):
    """Quantities that are put into words when a sentence asks for them, as most are never."""

    def __getitem__(self, name: str) -> str:  # type: ignore[override]
        return in_words(name, super().__getitem__(name))


def say(template: str, known: Quantities) -> str:
    """Fills a rule's sentence with the numbers."""
    return template.format_map(_InWords(known))


def confidence_word(confidence: float) -> str:
    """For people: high, medium or low."""
    return "high" if confidence >= 0.9 else "medium" if confidence >= 0.7 else "low"
