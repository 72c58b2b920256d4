"""perf/parse.py: every format of perf stat gives the same counts, and zero is never a guess."""

from pathlib import Path

import pytest

from forkkv.perf.parse import NEVER_RAN, Count, failure_counts, read_counts, syscall_counts

FORMATS = Path(__file__).parent / "data" / "perf" / "formats"


def recorded(name: str) -> dict[str, Count]:
    return read_counts((FORMATS / f"{name}.txt").read_text())


@pytest.mark.parametrize("name", ["perf-5.10", "perf-6.1", "perf-6.8"])
def test_the_versions_of_perf_are_read_alike(name: str) -> None:
    counts = recorded(name)
    assert counts["raw_syscalls:sys_enter"] == Count(345)
    assert counts["task-clock"] == Count(1.72)
    calls = syscall_counts(counts)
    assert (calls["read"], calls["write"], calls["accept4"].value) == (Count(115), Count(115), 0)


def test_failed_calls_are_kept_apart_from_calls() -> None:
    counts = recorded("perf-6.1")
    assert failure_counts(counts) == {"read": Count(0)}
    assert syscall_counts(counts)["read"] == Count(115)


def test_a_process_that_never_ran_made_no_calls() -> None:
    counts = recorded("perf-6.1-idle")
    assert len(counts) == 5
    assert set(counts.values()) == {Count(0, NEVER_RAN)}


def test_intervals_add_up() -> None:
    assert syscall_counts(recorded("perf-6.1-interval"))["read"] == Count(50 + 48 + 24)


def test_a_process_name_with_the_separator_in_it_moves_no_value() -> None:
    assert syscall_counts(recorded("perf-6.1-per-thread"))["read"] == Count(74)


def test_counts_without_the_kernels_side_are_no_counts() -> None:
    assert recorded("perf-6.1-kernel-left-out") == {}


def test_an_estimate_is_marked_and_an_unsupported_event_is_not_zero() -> None:
    calls = syscall_counts(recorded("multiplexed"))
    assert calls["read"] == Count(500, "estimated from 80% of the window")
    assert calls["write"] == Count(None, "not supported here")
    assert "accept4" not in calls


def test_a_decimal_comma_is_read() -> None:
    assert recorded("comma-locale")["task-clock"] == Count(33.72)


@pytest.mark.parametrize("text", ["", "# started on Sun Nov 22 16:16:24 2026\n\n", "nonsense;;\n"])
def test_text_without_rows_has_no_counts(text: str) -> None:
    assert read_counts(text) == {}
