"""Whether a number differs between two runs by more than chance: the tests, and how they combine.

The number is a ratio: something counted, or measured, over something else. Up to three tests look
at it, and the most cautious one decides:

- Counts of events are taken as Poisson, so the logarithm of a ratio a/b has the variance 1/a + 1/b
  (Rothman, Greenland, Lash: Modern Epidemiology, ch. 14), or 1/a - 1/b where a is a part of b
  (Katz and others, Biometrics 34, 1978). Real events come in bursts, so this alone is too sure.
- From MOMENTS moments of both runs on: how the ratio spreads between moments (Cochran: Sampling
  Techniques, ch. 6), and Welch's t test on that (Biometrika 34, 1947). It is the only one that can
  judge rates, times and bytes.
- From RANKED moments of both on: the rank test of Mann and Whitney (Annals of Mathematical
  Statistics 18, 1947), which no single odd moment can fool. With fewer it could not pass at all:
  even moments that are all lower have p = 2/C(2n, n), 0.008 for n = 5, times the rows looked at.

Looking at many rows finds something by chance; Holm's correction (Scandinavian Journal of
Statistics 6, 1979) keeps the risk of even one wrong row at LEVEL, however the rows hang together.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

LEVEL: Final = 0.05
MOMENTS: Final = 5
RANKED: Final = 8
FEW: Final = 10  # events on the side that has more, below which there is nothing to compare
BASE: Final = 100  # events that a ratio of counts is taken over, on either side
EXACT: Final = 400  # pairs of moments, up to which ranks are counted out; beyond, they are normal

Kind = Literal["counts", "share", "measure"]


@dataclass(frozen=True)
class Sample:
    """`what` over `per` in one run, and the same in each of its moments."""

    what: float
    per: float
    moments: tuple[tuple[float, float], ...] = ()

    @property
    def ratio(self) -> float:
        """The number that is compared. `per` is above zero."""
        return self.what / self.per

    @property
    def ratios(self) -> list[float]:
        """The number in each moment in which there is one."""
        return [what / per for what, per in self.moments if per > 0]

    @property
    def variance(self) -> float:
        """The variance of `ratio`, by its spread between the moments. Needs two."""
        used = [(what, per) for what, per in self.moments if per > 0]
        total = sum(per for _, per in used)
        mean = sum(what for what, _ in used) / total
        squares = sum((what - mean * per) ** 2 for what, per in used)
        return len(used) / (len(used) - 1) * squares / total**2


@dataclass(frozen=True)
class Chance:
    """How likely such a difference is by chance; `p` is None where `lacks` says what is missing."""

    p: float | None
    lacks: str = ""


def chance(a: Sample, b: Sample, kind: Kind) -> Chance:
    """The p value of the most cautious test that can be made, two-sided and not corrected.

    `kind`: counts of events over counts of events; a share, whose events are among those that it is
    taken over; or a measure (a time, bytes, or a rate), which only moments can judge.
    """
    moments = min(len(a.ratios), len(b.ratios))
    if kind != "measure" and (max(a.what, b.what) < FEW or min(a.per, b.per) < BASE):
        return Chance(None, "events")
    if kind == "measure" and moments < MOMENTS:
        return Chance(None, "moments")
    tests = [] if kind == "measure" else [by_counts(a, b, kind)]
    if moments >= MOMENTS:
        tests.append(by_spread(a, b))
    if moments >= RANKED:
        tests.append(by_ranks(a.ratios, b.ratios))
    return Chance(max(tests))


def by_counts(a: Sample, b: Sample, kind: Kind) -> float:
    """p when the events came at random.

    Nothing has no logarithm. Where one run has no event at all, p is the chance that all events of
    both fall into the other one (Przyborowski and Wilenski, Biometrika 31, 1940).
    """
    if min(a.what, b.what) == 0:
        other = b if a.what == 0 else a
        return float(min(1.0, 2 * (other.per / (a.per + b.per)) ** other.what))
    sign = -1 if kind == "share" else 1
    variance = sum(1 / s.what + sign / s.per for s in (a, b))
    return _normal(math.log(b.ratio / a.ratio), variance)


def by_spread(a: Sample, b: Sample) -> float:
    """p by how much the ratio spreads between the moments of each run."""
    spreads = [(s.variance, len(s.ratios)) for s in (a, b)]
    variance = sum(spread for spread, _ in spreads)
    if variance == 0:
        return float(math.isclose(a.ratio, b.ratio))
    freedom = variance**2 / sum(spread**2 / (number - 1) for spread, number in spreads)
    return student((b.ratio - a.ratio) / math.sqrt(variance), max(1, int(freedom + 1e-9)))


def student(t: float, freedom: int) -> float:
    """Two-sided p of Student's t, by the finite series (Abramowitz and Stegun, 26.7.3 and 4)."""
    angle = math.atan(abs(t) / math.sqrt(freedom))
    square = math.cos(angle) ** 2
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    series = 0.0
    for i in range(odd + 2, freedom + 1, 2):
        series += term
        term *= square * (i - 1) / i
    inside = math.sin(angle) * series
    if odd:
        inside = 2 / math.pi * (angle + inside)
    return min(1.0, max(0.0, 1 - inside))


def by_ranks(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of the rank test: exact for few values without ties, else nearly normal."""
    n, m = len(first), len(second)
    above = sum((x > y) + 0.5 * (x == y) for x in first for y in second)
    least = min(above, n * m - above)
    repeats = Counter([*first, *second]).values()
    if n * m <= EXACT and max(repeats) == 1:
        ways = _ways(n, m)
        return min(1.0, 2 * sum(ways[: int(least) + 1]) / sum(ways))
    ties = sum(times**3 - times for times in repeats) / ((n + m) * (n + m - 1))
    variance = n * m / 12 * (n + m + 1 - ties)
    return _normal(max(0.0, n * m / 2 - least - 0.5), variance)


def _ways(n: int, m: int) -> list[int]:
    """In how many orders of n and m values u pairs stand the wrong way round, for each u.

    These are the coefficients of the Gaussian binomial: the product of (1 - q^(m+i)) / (1 - q^i).
    """
    ways = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        for u in range(n * m, m + i - 1, -1):
            ways[u] -= ways[u - m - i]
        for u in range(i, n * m + 1):
            ways[u] += ways[u - i]
    return ways


def _normal(distance: float, variance: float) -> float:
    """Two-sided p of a normal distance from zero."""
    if variance <= 0:
        return float(distance == 0)
    return math.erfc(abs(distance) / math.sqrt(2 * variance))


def holm(values: Sequence[float]) -> list[float]:
    """The p values corrected for their number, in the order given: below LEVEL is significant."""
    corrected, worst = [0.0] * len(values), 0.0
    for place, i in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        worst = max(worst, min(1.0, values[i] * (len(values) - place)))
        corrected[i] = worst
    return corrected
