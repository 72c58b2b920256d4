"""perf/crosscheck.py: perf and a process's own counters agree to the call, or the gap is shown."""

from dataclasses import replace
from pathlib import Path

from made_run import calls, client, make_run, quiet, worker

from forkkv.perf.crosscheck import Check, check, explanations


def only(tmp_path: Path, call: str, perf: int, own: tuple[int, int, int, int]) -> Check:
    (row,) = check(make_run(tmp_path, worker(0, calls(**{call: perf}), own={call: own})))
    return row


def test_equal_counts_are_exact(tmp_path: Path) -> None:
    row = only(tmp_path, "read", 23, (0, 0, 23, 23))
    assert (row.difference, row.verdict, row.agrees) == (0, "exact", True)


def test_one_call_too_many_differs(tmp_path: Path) -> None:
    row = only(tmp_path, "read", 24, (0, 0, 23, 23))
    assert (row.difference, row.verdict, row.agrees) == (1, "DIFFERS", False)


def test_one_call_too_few_differs(tmp_path: Path) -> None:
    row = only(tmp_path, "write", 22, (0, 0, 23, 23))
    assert (row.difference, row.verdict) == (-1, "DIFFERS")


def test_under_load_perf_must_lie_between_the_bounds(tmp_path: Path) -> None:
    assert only(tmp_path, "read", 80, (0, 10, 80, 100)).verdict == "in bounds"
    assert only(tmp_path, "read", 69, (0, 10, 80, 100)).difference == -1
    assert only(tmp_path, "read", 103, (0, 10, 80, 100)).difference == 3


def test_a_call_that_sleeps_may_cross_an_edge_by_one(tmp_path: Path) -> None:
    assert only(tmp_path, "epoll_wait", 24, (0, 0, 23, 23)).verdict == "1 at an edge"
    assert only(tmp_path, "epoll_wait", 25, (0, 0, 23, 23)).verdict == "DIFFERS"


def test_calls_that_never_happened_and_clients_are_not_listed(tmp_path: Path) -> None:
    run = make_run(
        tmp_path,
        worker(0, calls(read=0, write=5), own=quiet(read=0, write=5)),
        worker(1, own=quiet(read=9)),
        client(1, calls(read=9)),
    )
    assert [(row.process, row.call) for row in check(run)] == [("worker-0", "write")]


def test_a_program_that_has_the_table_open_makes_calls_of_its_own(tmp_path: Path) -> None:
    program = worker(0, calls(read=9), own=quiet(read=0), role="attached", label="attached-7")
    assert check(make_run(tmp_path, program)) == []


def test_what_bpftrace_saw_before_there_were_counters_is_not_compared(tmp_path: Path) -> None:
    row = {"newcomer": True, "own": quiet(read=5)}
    (tmp_path / "perf").mkdir()
    assert len(check(make_run(tmp_path / "perf", worker(0, calls(read=5), **row)))) == 1
    run = make_run(tmp_path, worker(0, calls(read=9), **row))
    (process,) = run.processes
    assert check(replace(run, processes=(replace(process, source="bpftrace"),))) == []


def test_windows_that_are_not_aligned_are_not_compared(tmp_path: Path) -> None:
    run = make_run(tmp_path, worker(0, calls(read=5), own=quiet(read=5)), aligned=False)
    assert check(run) == []


def test_a_write_that_only_perf_saw_may_be_a_line_of_the_log(tmp_path: Path) -> None:
    run = make_run(tmp_path, worker(0, calls(write=24), own={"write": (0, 0, 23, 23)}))
    assert explanations(run, check(run)) == [
        "worker-0 write +1: a line of the server's log is a write too, "
        "and forkkv does not count it."
    ]
    run = make_run(tmp_path, worker(0, calls(write=23), own={"write": (0, 0, 23, 23)}))
    assert explanations(run, check(run)) == []


def test_calls_that_only_perf_counts_are_explained_by_their_names(tmp_path: Path) -> None:
    perf = {**calls(write=23), "raw_syscalls:sys_enter": 28}
    run = make_run(tmp_path, worker(0, perf, own={"write": (0, 0, 23, 23)}))
    (said,) = explanations(run, check(run))
    assert "getppid" in said
    assert said.endswith(": worker-0 5.")
