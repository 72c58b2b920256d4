"""The pace: when steps start, and from when their latency counts, by a clock of the test's own."""

import pytest

from forkkv.clients import pace
from forkkv.clients.pace import Pace

SECOND = 1_000_000_000


class Clock:
    """A clock that moves when it is told to, or slept on; a sleep ends a little late."""

    LATE_NS = 50_000

    def __init__(self) -> None:
        self.now_ns = 7 * SECOND
        self.sleeps: list[float] = []

    def __call__(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now_ns += round(seconds * SECOND) + self.LATE_NS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "clock_ns", clock)
    monkeypatch.setattr("time.sleep", clock.sleep)
    return clock


def test_without_a_rate_steps_start_at_once(clock: Clock) -> None:
    steady = Pace()
    assert [steady.start(sent) for sent in range(3)] == [clock.now_ns] * 3
    assert clock.sleeps == []


def test_a_step_waits_for_its_turn_and_counts_from_its_waking(clock: Clock) -> None:
    began = clock.now_ns
    steady = Pace(rate=10)
    assert steady.start(0) == began
    assert steady.start(1) == began + SECOND // 10 + Clock.LATE_NS
    assert clock.sleeps == [0.1]


def test_a_step_that_was_held_up_counts_from_when_it_was_due(clock: Clock) -> None:
    began = clock.now_ns
    steady = Pace(rate=10)
    steady.start(0)
    clock.now_ns += SECOND  # the server stalled
    assert [steady.start(sent) for sent in (1, 2, 10)] == [
        began + SECOND // 10,
        began + SECOND // 5,
        began + SECOND,
    ]
    assert clock.sleeps == []


def test_the_end_is_not_slept_over(clock: Clock) -> None:
    steady = Pace(rate=0.5, seconds=1)
    assert steady.start(0) is not None
    assert steady.start(1) is None
    assert clock.sleeps == []


def test_the_time_is_over_for_steps_that_are_late_too(clock: Clock) -> None:
    steady = Pace(rate=10, seconds=1)
    steady.start(0)
    clock.now_ns += SECOND
    assert steady.start(1) is None
    assert steady.unsent(1) == 9


def test_only_what_is_due_by_now_is_unsent(clock: Clock) -> None:
    steady = Pace(rate=10, seconds=60)
    clock.now_ns += SECOND
    assert steady.unsent(3) == 7


def test_without_a_rate_and_an_end_nothing_is_unsent(clock: Clock) -> None:
    assert Pace(rate=10).unsent(0) == 0
    assert Pace(seconds=1).unsent(0) == 0
