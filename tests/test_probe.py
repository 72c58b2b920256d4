"""perf/probe.py: what perf says when it cannot count becomes a problem and a remedy."""

from pathlib import Path

import pytest
from fake_perf import FAILURES
from lab import Lab

from forkkv.perf import events, probe


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A PATH on which the only perf is the one that is made up."""
    lab = Lab(tmp_path)
    lab.fake_perf()
    monkeypatch.setenv("PATH", str(lab.bin))
    monkeypatch.delenv("FAKE_PERF", raising=False)
    return lab


def test_a_perf_that_counts_is_found_with_its_version(fake: Lab) -> None:
    assert probe.probe(1) == probe.Found("6.1.fake", True, frozenset())


def test_calls_that_the_kernel_lacks_are_found(fake: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_PERF", "no-accept")
    found = probe.probe(1)
    assert isinstance(found, probe.Found)
    assert found.missing == {"accept"}


@pytest.mark.parametrize("mode", FAILURES)
def test_each_failure_has_a_problem_and_a_remedy_of_its_own(
    fake: Lab, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("FAKE_PERF", mode)
    refusal = probe.probe(1)
    assert isinstance(refusal, probe.Refusal)
    assert "{" not in refusal.problem + refusal.remedy
    general = probe.SYMPTOMS[-1].problem.split("{")[0]
    assert refusal.problem.startswith(general) == (mode == "crash")


def test_a_filter_stands_behind_an_event_list_of_its_own() -> None:
    arguments = events.arguments()
    for place, word in enumerate(arguments):
        if word == "--filter":
            assert "," not in arguments[place - 1]
            assert arguments[place - 1].startswith("syscalls:sys_exit_")
