"""perf/rules.py: each rule speaks for its situation and is silent for its neighbour."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from forkkv.perf import quantities
from forkkv.perf.bottlenecks import BOTTLENECKS
from forkkv.perf.quantities import Quantities, derive
from forkkv.perf.rule import Rule, say
from forkkv.perf.rules import RULES

# A worker of average habits: everything that can be known, nothing remarkable.
WORKER: Quantities = {
    "seconds": 10.0,
    "reads": 1020,
    "failed_reads": 0,
    "writes": 1000,
    "failed_writes": 0,
    "write_partial": 0,
    "accepts": 20,
    "failed_accepts": 0,
    "closes": 20,
    "connects": 0,
    "polls": 1000,
    "watches": 40,
    "futexes": 0,
    "fsyncs": 0,
    "rings": 0,
    "refused": 0,
    "calls": 3100,
    "commands": 1000,
    "cpu_seconds": 1.0,
}
CLIENT: Quantities = {
    "seconds": 10.0,
    "reads": 600,
    "writes": 500,
    "connects": 1,
    "failed_connects": 0,
    "closes": 60,
    "polls": 0,
    "rings": 0,
    "server_commands": 500,
    "clients_writes": 500,
}
SERVER: Quantities = {
    "seconds": 10.0,
    "commands": 4000,
    "accepts": 200,
    "failed_accepts": 0,
    "workers": 4,
    "connections": 40,
    "newcomers": 0,
    "forks": 0,
    "reaps": 50,
    "accept_imbalance": 1.1,
    "command_imbalance": 1.2,
}
NORMAL = {"worker": WORKER, "client": CLIENT, "server": SERVER, "master": WORKER, "keeper": WORKER}

# situation: for each of its rules, the numbers that make it speak and a neighbour that must not.
CASES: dict[str, list[tuple[Quantities, Quantities]]] = {
    "respawn-loop": [({"forks": 3}, {"forks": 1})],
    "worker-replaced": [({"newcomers": 1}, {"newcomers": 0})],
    "table-full": [({"refused": 3}, {"refused": 0})],
    "lock-contention": [({"futexes": 300}, {"futexes": 50})],
    "thundering-herd": [
        ({"accepts": 60, "failed_accepts": 40}, {"accepts": 60, "failed_accepts": 10})
    ],
    "connection-churn": [({"accepts": 900, "closes": 900}, {"accepts": 150, "closes": 150})],
    "eagain-storm": [({"reads": 2020, "failed_reads": 1000}, {"reads": 1120, "failed_reads": 100})],
    "small-reads": [({"reads": 5000}, {"reads": 1090})],
    "small-writes": [
        ({"writes": 3000}, {"writes": 1050}),
        ({"reads": 120, "commands": 1000, "writes": 1000}, {"reads": 120, "writes": 100}),
    ],
    "slow-reader": [({"write_partial": 100}, {"write_partial": 21})],
    "frequent-fsync": [({"fsyncs": 900}, {"fsyncs": 10})],
    "descriptor-churn": [({"closes": 500}, {"closes": 60})],
    "cpu-bound": [({"cpu_seconds": 9.8}, {"cpu_seconds": 8.0})],
    "shallow-pipeline": [
        ({"reads": 50020, "writes": 50000, "commands": 50000, "polls": 50000}, {"writes": 1000})
    ],
    "unfair-accept": [({"accept_imbalance": 2.0}, {"accept_imbalance": 1.25})],
    "hot-worker": [({"command_imbalance": 3.5}, {"command_imbalance": 1.5})],
    "rewatching": [({"watches": 500}, {"watches": 150})],
    "few-connections": [({"connections": 3}, {"connections": 4})],
    "spinning": [({"polls": 5000}, {"polls": 1500})],
    "blind": [({"rings": 5}, {"rings": 0})],
    "one-at-a-time": [({}, {"reads": 5000})],
    "pipelined": [({"reads": 120, "writes": 100}, {"reads": 900, "writes": 900})],
    "time-to-spare": [({}, {"cpu_seconds": 6.0})],
    "too-little-data": [({"commands": 9}, {"commands": 101})],
    "idle": [({"commands": 0}, {"commands": 1})],
    "standing-by": [({"accepts": 0}, {"accepts": 1})],
    "upkeep": [({}, {})],
    "many-connects": [
        ({"connects": 400}, {"connects": 100}),
        ({"connects": 100, "failed_connects": 50}, {"connects": 100, "failed_connects": 5}),
    ],
    "request-heavy-client": [({"writes": 20000, "reads": 100}, {"writes": 9000, "reads": 100})],
    "small-requests": [({"clients_writes": 9000, "reads": 50}, {"clients_writes": 800})],
    "chatty": [({"writes": 5000, "reads": 5100}, {"writes": 5000, "reads": 500})],
    "double-calls": [({"polls": 1000}, {"polls": 500})],
    "short-session": [({"writes": 8}, {"writes": 101})],
    "steady-client": [({}, {"writes": 50})],
}
NEVER_SILENT = {"upkeep"}  # the keeper's row has no neighbour: it only says what the keeper does


def numbered() -> Iterator[tuple[str, int, Rule]]:
    seen: dict[str, int] = {}
    for rule in RULES:
        number = seen.setdefault(rule.situation, 0)
        seen[rule.situation] += 1
        yield rule.situation, number, rule


def known(rule: Rule, changes: Quantities) -> Quantities:
    return derive({**NORMAL[rule.roles[0]], **changes})


NUMBERED = list(numbered())
IDS = [f"{situation}-{number}" for situation, number, _ in NUMBERED]


def test_every_rule_has_a_case_and_every_case_a_rule() -> None:
    assert {s: len(cases) for s, cases in CASES.items()} == {s: n + 1 for s, n, _ in NUMBERED}


@pytest.mark.parametrize(("situation", "number", "rule"), NUMBERED, ids=IDS)
def test_a_rule_speaks_for_its_situation(situation: str, number: int, rule: Rule) -> None:
    assert rule.applies(rule.roles[0], known(rule, CASES[situation][number][0]))


@pytest.mark.parametrize(("situation", "number", "rule"), NUMBERED, ids=IDS)
def test_a_rule_is_silent_for_its_neighbour(situation: str, number: int, rule: Rule) -> None:
    if situation not in NEVER_SILENT:
        assert not rule.applies(rule.roles[0], known(rule, CASES[situation][number][1]))


@pytest.mark.parametrize(("situation", "number", "rule"), NUMBERED, ids=IDS)
def test_a_rule_says_nothing_when_a_number_is_unknown(
    situation: str, number: int, rule: Rule
) -> None:
    numbers = known(rule, CASES[situation][number][0])
    for missing in rule.quantities:
        assert not rule.applies(rule.roles[0], {k: v for k, v in numbers.items() if k != missing})


@pytest.mark.parametrize(("situation", "number", "rule"), NUMBERED, ids=IDS)
def test_a_rule_cites_its_numbers_and_its_limits(situation: str, number: int, rule: Rule) -> None:
    numbers = known(rule, CASES[situation][number][0])
    observation = say(rule.observation, numbers)
    assert any(character.isdigit() for character in observation) or situation == "idle"
    assert "{" not in say(rule.meaning, numbers) + say(rule.inference, numbers)
    assert rule.cannot_tell


@pytest.mark.parametrize("role", NORMAL)
def test_normal_numbers_lead_to_no_finding(role: str) -> None:
    numbers = derive(dict(NORMAL[role]))
    assert [r.situation for r in RULES if r.finding and r.applies(role, numbers)] == []


def test_a_rule_looks_only_at_its_roles() -> None:
    rule = next(rule for rule in RULES if rule.situation == "table-full")
    assert not rule.applies("keeper", derive({**WORKER, "refused": 3}))
    assert replace(rule, roles=("keeper",)).applies("keeper", derive({**WORKER, "refused": 3}))


def test_every_bottleneck_row_is_marked_by_a_finding_that_exists() -> None:
    situations = {rule.situation for rule in RULES if rule.finding}
    for row in BOTTLENECKS:
        assert set(row.situations) <= situations
    marked = {situation for row in BOTTLENECKS for situation in row.situations}
    assert situations - marked == {"table-full", "cpu-bound"}  # not a matter of one system call


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("reads", 1234567, "1,234,567"),
        ("reads_per_command", 1.0, "1.00"),
        ("cpu_share", 0.123, "12%"),
        ("commands_per_second", 2.5, "2.5/s"),
        ("commands_per_second", 25000, "25,000/s"),
        ("seconds", 5.0, "5.00 s"),
        ("accept_imbalance", 1.3, "1.30"),
    ],
)
def test_a_number_is_written_by_the_unit_in_its_name(name: str, value: float, words: str) -> None:
    assert quantities.in_words(name, value) == words
