"""Latencies: percentiles of any durations, close to the exact ones."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from forkkv.clients.latency import PERCENTILES, Latency

durations = st.lists(st.integers(0, 2**62), min_size=1, max_size=50)


@given(durations)
def test_percentiles_are_within_one_percent_above_the_exact_ones(values: list[int]) -> None:
    latency = Latency()
    for value in values:
        latency.record(value)
    values.sort()
    for percent in PERCENTILES:
        exact = values[ceil(len(values) * percent / 100) - 1]
        assert exact <= latency.percentile_ns(percent) <= exact * 1.01
    assert latency.max_ns == values[-1]


def test_a_count_stands_for_so_many_operations() -> None:
    latency = Latency()
    latency.record(1000, count=99)
    latency.record(5000, count=1)
    assert latency.count == 100
    assert latency.percentile_ns(99) < 1010
    assert latency.percentile_ns(99.9) == 5000


def test_the_summary_is_in_microseconds() -> None:
    latency = Latency()
    latency.record(2_000_000)
    assert latency.summary_us() == {
        "p50": 2000.0, "p90": 2000.0, "p99": 2000.0, "p99.9": 2000.0, "max": 2000.0
    }  # fmt: skip


def test_nothing_recorded_is_zero() -> None:
    assert set(Latency().summary_us().values()) == {0.0}
