"""perf/proof/: every situation has a scenario, and the numbers that it gave lead back to it."""

import json
import os
import re
from pathlib import Path

import psutil
import pytest
from conftest import SHARED_MEMORY

from forkkv.perf import diagnose
from forkkv.perf.diagnose import Subject
from forkkv.perf.proof.matrix import Score, play, situations, table
from forkkv.perf.proof.scenarios import SCENARIOS, told
from forkkv.perf.rules import HEALTHY, SEVERITY

RECORDED = json.loads((Path(__file__).parent / "data" / "diagnosis.json").read_text())
# Found along the way, and asked of no scenario of their own.
BESIDES = {"worker-replaced", "rewatching", "spinning", "double-calls", "blind"}


def judged(name: str) -> list[Subject]:
    """The processes of a recorded run, judged by today's rules."""
    return [diagnose.judge(row["label"], row["role"], row["known"]) for row in RECORDED[name]]


def test_every_situation_has_a_scenario() -> None:
    assert SCENARIOS.keys() == SEVERITY.keys() - BESIDES | {HEALTHY}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_tells_what_it_does_and_what_its_neighbour_does(name: str) -> None:
    made, near = told(SCENARIOS[name])
    assert made != near
    assert made.endswith(".") and near.endswith(".")


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_numbers_of_a_situation_name_it_first(name: str) -> None:
    assert situations(judged(name))[0] == name


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_numbers_of_its_neighbour_do_not_name_it(name: str) -> None:
    assert name not in situations(judged(f"{name}-near"))


def test_a_stage_leaves_nothing_behind() -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    play(SCENARIOS["idle"], near=False)
    assert {p.pid for p in psutil.Process().children(recursive=True)} == before
    assert list(SHARED_MEMORY.glob(f"forkkv.proof-{os.getpid()}-*")) == []


def test_a_score_counts_what_was_not_first_and_what_was_a_false_alarm() -> None:
    score = Score()
    score.add("chatty", False, ["chatty", "cpu-bound"])
    assert score.right
    score.add("chatty", False, ["cpu-bound", "chatty"])
    score.add("chatty", True, ["cpu-bound", "chatty"])
    score.add("chatty", True, [])
    assert (score.found, score.runs, score.false_alarms, score.near_runs) == (1, 2, 2, 2)
    assert score.wrong[-1] == "neighbour: failed"
    made, near = told(SCENARIOS["chatty"])
    assert f"| `chatty` | {made} | 1 of 2 | {near} | 2 of 2 |" in table({"chatty": score})


def test_the_docs_hold_the_matrix_of_these_scenarios() -> None:
    page = (Path(__file__).parent.parent / "docs" / "lab.md").read_text()
    for name, scenario in SCENARIOS.items():
        made, near = map(re.escape, told(scenario))
        row = rf"^\| `{name}` \| {made} \| \d+ of \d+ \| {near} \| \d+ of \d+ \|$"
        assert re.search(row, page, re.MULTILINE), f"docs/lab.md has no such row for {name}"
