"""perf/run.py: a run is read back with its bounds, and what cannot be read says what to do."""

import json
from pathlib import Path

import pytest
from made_run import OPENED, calls, client, make_run, quiet, worker

from forkkv.perf.parse import Count
from forkkv.perf.process import OwnCount
from forkkv.perf.run import NotARun, load


def test_own_counts_bound_what_perf_may_have_seen(tmp_path: Path) -> None:
    own = {"read": (100, 110, 180, 200)}
    run = make_run(tmp_path, worker(0, calls(read=85), own=own))
    # The window opens and closes half-way between two snapshots.
    assert run.processes[0].own_calls["read"] == OwnCount(least=70, most=100, best=85.0)


def test_a_quiet_edge_makes_the_bounds_one_number(tmp_path: Path) -> None:
    run = make_run(tmp_path, worker(0, calls(read=23), own=quiet(read=23, commands=23)))
    assert run.processes[0].own_calls["read"] == OwnCount(23, 23, 23.0)
    assert run.processes[0].own["commands"] == OwnCount(23, 23, 23.0)


def test_without_perf_the_own_counters_are_the_counts(tmp_path: Path) -> None:
    own = quiet(read=23, accept4=7, read_empty=3, accept_empty=2)
    process = make_run(tmp_path, worker(0, own=own)).processes[0]
    assert process.calls == {"read": Count(23), "accept4": Count(7)}
    assert process.failed == {"read": Count(3), "accept4": Count(2)}
    assert process.total.value is None


def test_a_process_that_started_in_the_window_counts_from_zero(tmp_path: Path) -> None:
    facts = make_run(tmp_path, worker(0, own={"read": (5, 5, 11, 12)})).facts
    for reading in facts["readings"][:2]:
        reading["stats"]["processes"] = []
    (tmp_path / "run.json").write_text(json.dumps(facts))
    assert load(tmp_path).processes[0].own_calls["read"].least == 11


def test_a_process_that_ended_in_the_window_has_no_own_counts(tmp_path: Path) -> None:
    facts = make_run(tmp_path, worker(0, calls(read=9), own={"read": (0, 1, 2, 3)})).facts
    for reading in facts["readings"][2:]:
        reading["stats"]["processes"] = []
    (tmp_path / "run.json").write_text(json.dumps(facts))
    process = load(tmp_path).processes[0]
    assert process.own_calls == {}
    assert process.calls["read"] == Count(9)


@pytest.mark.parametrize("missing", [1, 2])
def test_without_a_reading_there_are_no_own_counts(tmp_path: Path, missing: int) -> None:
    facts = make_run(tmp_path, worker(0, calls(read=9), own=quiet(read=9))).facts
    facts["readings"][missing]["stats"] = None
    (tmp_path / "run.json").write_text(json.dumps(facts))
    assert load(tmp_path).processes[0].own == {}


def test_clients_and_server_are_told_apart(tmp_path: Path) -> None:
    run = make_run(tmp_path, worker(0), worker(1), client(1))
    assert [process.label for process in run.server] == ["worker-0", "worker-1"]
    assert [process.label for process in run.clients] == ["client-1"]


def test_a_directory_without_a_run_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotARun, match=r"holds no run: .* Make one with: perf/collect\.sh"):
        load(tmp_path)
    with pytest.raises(NotARun, match="holds no run"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"schema": 2}', r"is damaged \(KeyError: 'processes'\)"),
        ('{"schema": 7}', "has schema 7, this forkkv reads 2"),
    ],
)
def test_a_damaged_or_foreign_run_is_refused(tmp_path: Path, text: str, answer: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(NotARun, match=answer):
        load(tmp_path)


def test_a_missing_file_of_counts_is_named(tmp_path: Path) -> None:
    make_run(tmp_path, worker(0, calls(read=1)))
    (tmp_path / "worker-0.perf").unlink()
    with pytest.raises(NotARun, match=r"worker-0\.perf"):
        load(tmp_path)


@pytest.mark.parametrize("ticks", [[5.0, 9.9], [5.0]], ids=["splinter", "none"])
def test_a_splinter_after_the_last_tick_is_no_moment(tmp_path: Path, ticks: list[float]) -> None:
    facts = make_run(tmp_path, worker(0, calls(read=9), own=quiet(read=9))).facts
    ended = [{"time": OPENED + seconds, "reading": 2} for seconds in ticks]
    facts["window"] |= {"interval_seconds": 5, "ticks": ended}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    assert [moment.seconds for moment in load(tmp_path).moments] == [5, 5]


def test_who_came_late_stands_beside_those_of_its_role(tmp_path: Path) -> None:
    late = worker(0, calls(read=1), label="worker-0.2", pid=77)
    run = make_run(tmp_path, worker(1, calls()), worker(0, calls()), client(1, calls()), late)
    labels = [process.label for process in run.processes]
    assert labels == ["worker-0", "worker-0.2", "worker-1", "client-1"]
