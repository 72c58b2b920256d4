"""perf/significance.py: the tests against tables of textbooks, and which of them decides."""

import math
from itertools import combinations
from random import Random

import pytest

from forkkv.perf.significance import Sample, by_counts, by_ranks, by_spread, chance, holm, student


def level(rate: float, spread: float, moments: int, seed: int) -> Sample:
    """Ratios over 1000 that are normal around `rate`."""
    draw = Random(seed)
    parts = tuple((1000 * draw.gauss(rate, spread), 1000.0) for _ in range(moments))
    return Sample(sum(what for what, _ in parts), 1000.0 * moments, parts)


@pytest.mark.parametrize(
    ("t", "freedom"), [(12.706, 1), (4.303, 2), (3.182, 3), (2.571, 5), (2.228, 10), (2.0423, 30)]
)
def test_students_t_has_the_values_of_the_tables(t: float, freedom: int) -> None:
    assert student(t, freedom) == pytest.approx(0.05, abs=1e-4)
    assert student(-t, freedom) == student(t, freedom)


def test_the_rank_test_counts_every_order() -> None:
    first, second = [1.0, 4.0, 5.0, 7.0], [2.0, 8.0, 9.0, 10.0, 11.0]

    def inversions(chosen: set[int]) -> int:
        return sum(i > j for i in chosen for j in range(9) if j not in chosen)

    orders = [inversions(set(chosen)) for chosen in combinations(range(9), 4)]
    seen = sum(x > y for x in first for y in second)
    assert by_ranks(first, second) == pytest.approx(2 * sum(u <= seen for u in orders) / 126)
    assert by_ranks(first, second) == by_ranks(second, first)


def test_the_rank_test_for_many_values_or_ties_is_near_the_exact_one() -> None:
    first, second = [float(i) for i in range(20)], [i + 7.5 for i in range(20)]
    exact = by_ranks(first, second)
    assert by_ranks([*first, 9.25], [*second, 15.75]) == pytest.approx(exact, rel=0.5)
    assert by_ranks([1.0] * 9, [1.0] * 9) == 1.0
    assert by_ranks([1.0] * 9, [2.0] * 9) < 0.001


def test_counts_as_they_come_at_random_are_told_by_the_logarithm_of_their_ratio() -> None:
    a, b = Sample(400, 1000), Sample(500, 1000)
    z = math.log(1.25) / math.sqrt(1 / 400 + 1 / 500 + 2 / 1000)
    assert by_counts(a, b, "counts") == pytest.approx(math.erfc(z / math.sqrt(2)))
    assert by_counts(a, b, "share") < by_counts(a, b, "counts")


def test_nothing_beside_something_is_told_by_where_all_the_events_fell() -> None:
    nothing, ten = Sample(0, 1000), Sample(10, 1000)
    assert by_counts(nothing, ten, "counts") == by_counts(ten, nothing, "counts") == 2 / 2**10
    assert by_counts(Sample(0, 100), Sample(10, 1000), "counts") > 0.5
    assert by_counts(nothing, nothing, "counts") == 1.0


def test_numbers_that_never_vary_differ_surely_or_not_at_all() -> None:
    one = Sample(10, 10, ((2, 2),) * 5)
    assert by_spread(one, one) == 1.0
    assert by_spread(one, Sample(20, 10, ((4, 2),) * 5)) == 0.0


def test_the_most_cautious_test_decides() -> None:
    """Moments that differ widely take back what the counts alone would be sure of."""
    a, b = level(1.0, 0.5, 6, seed=1), level(1.2, 0.5, 6, seed=2)
    assert by_counts(Sample(a.what, a.per), Sample(b.what, b.per), "counts") < 1e-4
    found = chance(a, b, "counts").p
    assert found is not None and found > 0.05
    assert found == by_spread(a, b)


def test_one_burst_does_not_decide_against_all_other_moments() -> None:
    """It outweighs them in the sums, and so in their spread; ranks see one moment of nine."""
    calm = [(100.0 + i, 100.0) for i in range(9)]
    burst = [(99.5 + i, 100.0) for i in range(8)] + [(400_000.0, 200_000.0)]
    a, b = (
        Sample(sum(what for what, _ in parts), sum(per for _, per in parts), tuple(parts))
        for parts in (calm, burst)
    )
    assert by_spread(a, b) < 1e-4
    found = chance(a, b, "counts").p
    assert found is not None and found > 0.05


@pytest.mark.parametrize("moments", [5, 8, 30])
def test_a_large_and_steady_change_is_found(moments: int) -> None:
    a, b = level(1.0, 0.02, moments, seed=3), level(2.0, 0.02, moments, seed=4)
    found = chance(a, b, "measure").p
    assert found is not None and found < 0.05 / 50


def test_what_cannot_be_judged_says_what_it_lacks() -> None:
    assert chance(Sample(9, 5000), Sample(1, 5000), "counts").lacks == "events"
    assert chance(Sample(50, 50), Sample(500, 500), "counts").lacks == "events"
    assert chance(level(1, 1, 4, 1), level(1, 1, 9, 1), "measure").lacks == "moments"


def test_holms_correction_steps_down_and_never_turns_the_order_round() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
