"""Storms: nearly everybody is killed again and again, and nothing that was acknowledged is lost.

The controls are storms over a table that is used wrongly on purpose: they must be caught.
"""

import secrets
import time
from pathlib import Path

import pytest
from linear import Reply
from storm import Plan, run_storm
from storm_doors import Local, members
from storm_mutants import MUTATIONS, ROOT, Mutation

GAP_SECONDS = 0.0005  # in which others get at what should have been one step


@pytest.mark.parametrize("memory", ["6mb", "16mb"])
def test_a_storm_of_kills_loses_nothing(tmp_path: Path, memory: str) -> None:
    outcome = run_storm(Plan(seed=secrets.randbits(32), kills=150, memory=memory), tmp_path)
    print(outcome)
    assert outcome.violations == []


class LosesUpdates(Local):
    """Increments in two steps."""

    def incr(self, key: str, argument: str = "") -> Reply:
        value = int(self.table.get(key) or 0) + 1
        time.sleep(GAP_SECONDS)
        self.table.set(key, str(value))
        return value


class ReadsStale(Local):
    """Keeps what it has read."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.cache: dict[str, Reply] = {}

    def get(self, key: str, argument: str = "") -> Reply:
        if key not in self.cache:
            self.cache[key] = super().get(key)
        return self.cache[key]


class TearsGroups(Local):
    """Stores the keys of a group one by one."""

    def set_group(self, key: str, argument: str) -> Reply:
        for member in members(key):
            time.sleep(GAP_SECONDS)
            self.table.set(member, argument)
        return True


@pytest.mark.parametrize(
    ("door", "caught"),
    [(LosesUpdates, "increments to"), (ReadsStale, "not linearizable"), (TearsGroups, "torn: ")],
)
def test_a_table_used_wrongly_is_caught(tmp_path: Path, door: type[Local], caught: str) -> None:
    plan = Plan(seed=secrets.randbits(32), kills=30, workers=1, clients=1, local=door)
    assert any(caught in each for each in run_storm(plan, tmp_path).violations)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.breaks)
def test_what_the_broken_builds_change_is_still_there(mutation: Mutation) -> None:
    text = (ROOT / "shm" / mutation.file).read_text()
    assert text.count(mutation.before) == 1, "make storm would not build it"
