"""perf/diagnose.py: rows, an Overall row for each process, and findings with their evidence."""

from pathlib import Path

from made_run import calls, client, make_run, quiet, worker

from forkkv.perf.diagnose import Subject, findings, subjects
from forkkv.perf.run import Run, load

BUSY = {
    **calls(read=2000, write=2000, accept4=0, close=0, epoll_wait=2000, epoll_ctl=0),
    "raw_syscalls:sys_enter": 6000,
    "task-clock": 1000,
}


def churning(index: int) -> dict[str, object]:
    perf = {**BUSY, **calls(accept4=1000, close=1000, read=2000, write=1000, epoll_wait=3000)}
    return worker(index, perf, own=quiet(commands=1000, read=2000))


def by_label(run: Run) -> dict[str, Subject]:
    return {subject.label: subject for subject in subjects(run)}


def test_a_finding_names_every_process_that_shows_it_with_its_numbers(tmp_path: Path) -> None:
    run = make_run(tmp_path, churning(0), churning(1), client(1, calls(write=5, read=5)))
    (finding,) = [f for f in findings(subjects(run)) if f.rule.situation == "connection-churn"]
    assert finding.subjects == ["worker-0", "worker-1"]
    evidence = finding.evidence[0]
    assert (evidence.subject, evidence.value) == ("worker-0", 1.0)
    assert (evidence.quantity, evidence.operator) == ("accepts_per_command", ">")


def test_what_is_normal_is_explained_but_is_no_finding(tmp_path: Path) -> None:
    run = make_run(tmp_path, worker(0, BUSY, own=quiet(commands=2000)))
    subject = by_label(run)["worker-0"]
    assert [row.rule.situation for row in subject.rows if row.rule] == [
        "one-at-a-time",
        "time-to-spare",
    ]
    assert [each.rule.situation for each in findings(subjects(run))] == ["healthy"]
    assert by_label(run)["server"].overall.inference.startswith("healthy")


def test_the_overall_row_gives_volume_pace_and_verdict(tmp_path: Path) -> None:
    overall = by_label(make_run(tmp_path, churning(0)))["worker-0"].overall
    assert overall.observation == "6,000 calls, 1,000 commands, 6.00 per command"
    assert overall.meaning == "CPU 1.00 s in 10.0 s: 10% of one core"
    assert overall.inference == "connection-churn"


def test_the_verdict_on_the_server_is_on_all_that_was_found(tmp_path: Path) -> None:
    run = make_run(tmp_path, churning(0), client(1, calls(connect=500, write=500, read=500)))
    assert by_label(run)["server"].overall.inference == "connection-churn, many-connects"


def test_too_little_is_said_to_be_too_little(tmp_path: Path) -> None:
    own = quiet(commands=9, read=9)
    few = {**calls(read=9, write=9, accept4=1, close=1), "raw_syscalls:sys_enter": 20}
    subject = by_label(make_run(tmp_path, worker(0, few, own=own)))["worker-0"]
    assert subject.rows[0].observation == "9 commands: read 9, write 9, accept 1, close 1"
    assert "Insufficient data" in subject.rows[0].inference


def test_a_client_that_nobody_counted_is_not_called_idle(tmp_path: Path) -> None:
    run = make_run(tmp_path, worker(0, own=quiet(commands=0)), client(1))
    assert "perf is needed" in by_label(run)["client-1"].overall.inference


def test_a_worker_that_died_is_not_judged(tmp_path: Path) -> None:
    run = make_run(tmp_path, worker(0, BUSY, note="ended during the window"))
    subject = by_label(run)["worker-0"]
    assert subject.overall.inference == "Insufficient data: ended during the window"


def test_a_process_that_slept_through_the_window_is_said_to_have(tmp_path: Path) -> None:
    make_run(tmp_path, worker(0, calls(read=0), own=quiet(commands=0)))
    (tmp_path / "worker-0.perf").write_text("<not counted>;;syscalls:sys_enter_read;0;100.00;;\n")
    run = load(tmp_path)
    assert "slept through the whole window" in by_label(run)["worker-0"].overall.meaning
