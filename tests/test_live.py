"""perf/top/live.py: two readings of own counters become a run that the rules can judge."""

import pytest
from made_reading import busy, entry, reading

from forkkv.perf import diagnose
from forkkv.perf.parse import Count
from forkkv.perf.quantities import of_process, of_server
from forkkv.perf.top.live import keyed, run_between, seconds_between


def test_what_a_process_did_is_the_difference_of_its_counters() -> None:
    before = busy(0, 100, cpu_seconds=1.0, connections=3)
    after = busy(0, 350, cpu_seconds=1.5, connections=4, counters={"read_empty": 2})
    run = run_between(reading(10, before), reading(12, after))
    process = run.processes[0]
    assert (run.seconds, process.label, process.source) == (2.0, "worker-0", "forkkv")
    assert (process.calls["read"], process.failed["read"]) == (Count(250), Count(2))
    assert process.own["commands"].least == process.own["commands"].most == 250
    known = of_process(process, run.seconds)
    assert (known["commands_per_second"], known["cpu_share"]) == (125, 0.25)
    assert (known["calls_per_command"], known["hit_share"]) == (3, 1)


def test_two_readings_are_enough_for_the_rules() -> None:
    earlier = reading(10, entry("master"), busy(0, 0), busy(1, 0))
    later = reading(11, entry("master"), busy(0, 5000), busy(1, 5000))
    found = diagnose.findings(diagnose.subjects(run_between(earlier, later)))
    assert [f.rule.situation for f in found] == ["shallow-pipeline"]
    assert found[0].subjects == ["worker-0", "worker-1"]


def test_a_replaced_worker_counts_from_zero_and_is_found() -> None:
    earlier = reading(10, busy(0, 900, pid=7), busy(1, 0))
    later = reading(11, busy(0, 30, pid=8), busy(1, 0))
    run = run_between(earlier, later)
    assert of_server(run)["commands"] == 30
    found = diagnose.findings(diagnose.subjects(run))
    assert [f.rule.situation for f in found] == ["worker-replaced"]


def test_the_same_pid_started_at_another_time_is_another_process() -> None:
    run = run_between(reading(10, busy(0, 900)), reading(11, busy(0, 950, start_ticks=2)))
    assert run.processes[0].own["commands"].least == 950


def test_a_counter_that_goes_back_is_no_negative_count() -> None:
    run = run_between(
        reading(10, busy(0, 900, cpu_seconds=5)), reading(11, busy(0, 30, cpu_seconds=1))
    )
    process = run.processes[0]
    assert all(count.least == 0 for count in (*process.own.values(), *process.own_calls.values()))
    assert process.cpu_seconds == Count(0.0)


def test_only_living_processes_are_judged() -> None:
    now = reading(11, busy(0, 9), busy(1, 9, alive=False, cpu_seconds=None), entry("attached"))
    labels = [process.label for process in run_between(now, now).processes]
    assert labels == ["worker-0", "attached-100"]


def test_a_cpu_time_that_cannot_be_read_is_unknown_and_not_zero() -> None:
    run = run_between(reading(10, busy(0, 0)), reading(11, busy(0, 0, cpu_seconds=None)))
    assert "cpu_share" not in of_process(run.processes[0], run.seconds)


def test_a_program_that_opened_the_table_twice_is_two_processes() -> None:
    twice = reading(10, entry("attached", pid=5), entry("attached", pid=5, hits=3))
    assert len(dict(keyed(twice))) == 2


@pytest.mark.parametrize(("wall", "expected"), [(-3600, 2.0), (0, 2.0), (3600, 2.0)])
def test_a_step_of_the_wall_clock_changes_no_interval(wall: float, expected: float) -> None:
    later = reading(12)
    later["time"] += wall
    assert seconds_between(reading(10), later) == expected


def test_readings_of_forkkv_stats_are_told_apart_by_their_wall_clock() -> None:
    plain = [{k: v for k, v in reading(at).items() if k != "boot_seconds"} for at in (10, 13)]
    assert seconds_between(*plain) == 3
    assert seconds_between(plain[1], plain[0]) == 0


def test_a_worker_more_replaces_nobody() -> None:
    earlier, later = reading(10, busy(0, 9)), reading(11, busy(0, 9), busy(1, 0))
    judged = diagnose.subjects(run_between(earlier, later))
    found = [finding.rule.situation for finding in diagnose.findings(judged)]
    assert "worker-replaced" not in found
