"""perf/rules.py: each rule speaks for its situation and is silent for its neighbour."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from forkkv.perf import units
from forkkv.perf.bottlenecks import BOTTLENECKS
from forkkv.perf.quantities import Quantities, derive
from forkkv.perf.rule import Rule, say
from forkkv.perf.rules import FINDINGS, RULES, SEVERITY

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
    "opens": 0,
    "refused": 0,
    "hits": 900,
    "misses": 100,
    "sets": 100,
    "lock_waits": 5,
    "lock_timeouts": 0,
    "lock_wait_seconds": 0.01,
    "server_lock_wait_share": 0.001,
    "server_lock_wait_seconds": 0.01,
    "server_lock_timeouts": 0,
    "stopped": 0,
    "bytes_in": 40_000,
    "bytes_out": 40_000,
    "moved_bytes": 80_000,
    "minor_faults": 100,
    "major_faults": 0,
    "calls": 3100,
    "commands": 1000,
    "cpu_seconds": 1.0,
    "busy_seconds": 1.2,
}
ATTACHED: Quantities = {**WORKER, "hits": 50_000, "calls": 3}
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
    "clients": 2,
    "clients_writes": 1000,
    "clients_reads": 1200,
    "server_writes": 1000,
    "server_bytes_out": 40_000,
}
SERVER: Quantities = {
    "seconds": 10.0,
    "commands": 4000,
    "accepts": 200,
    "failed_accepts": 0,
    "workers": 4,
    "connections": 40,
    "respawns": 0,
    "forks": 0,
    "reaps": 50,
    "cpu_seconds": 4.0,
    "sets": 2000,
    "table_evicted": 10,
    "table_expired": 10,
    "table_keys": 100_000,
    "expired_peak": 5,
    "accept_imbalance": 1.1,
    "command_imbalance": 1.2,
}
NORMAL = {
    "worker": WORKER,
    "client": CLIENT,
    "server": SERVER,
    "master": WORKER,
    "keeper": WORKER,
    "attached": ATTACHED,
}

# situation: for each of its rules, the numbers that make it speak and a neighbour that must not.
CASES: dict[str, list[tuple[Quantities, Quantities]]] = {
    "stopped-holder": [
        (
            {"stopped": 1, "server_lock_wait_share": 0.5},
            {"stopped": 0, "server_lock_wait_share": 0.5},
        ),
        ({"stopped": 1, "server_lock_timeouts": 3}, {"stopped": 1}),
    ],
    "respawn-loop": [({"respawns": 3}, {"respawns": 1})],
    "worker-replaced": [({"respawns": 1}, {"respawns": 3})],
    "table-full": [({"refused": 3}, {"refused": 0})],
    "lock-contention": [
        ({"lock_waits": 500, "lock_wait_seconds": 0.5}, {"lock_waits": 500}),
        ({"futexes": 300}, {"futexes": 50}),
    ],
    "thundering-herd": [
        ({"accepts": 100, "failed_accepts": 46}, {"accepts": 100, "failed_accepts": 31})
    ],
    "connection-churn": [({"accepts": 900, "closes": 900}, {"accepts": 150, "closes": 150})],
    "eagain-storm": [({"reads": 2020, "failed_reads": 1000}, {"reads": 1120, "failed_reads": 100})],
    "small-reads": [
        ({"reads": 5000}, {"reads": 5000, "bytes_in": 40_000_000}),
        (
            {"reads": 9000, "clients_reads": 9600},
            {"reads": 9000, "clients_reads": 9600, "server_bytes_out": 90_000_000},
        ),
    ],
    "small-writes": [
        ({"writes": 3000}, {"writes": 1050}),
        ({"writes": 3000, "estimated": 1}, {"writes": 2000, "estimated": 1}),
        ({"reads": 120, "commands": 1000, "writes": 1000}, {"reads": 120, "writes": 100}),
        (
            {"clients_writes": 9000, "reads": 50},
            {"clients_writes": 800, "reads": 50},
        ),
    ],
    "eviction-storm": [({"table_evicted": 9000}, {"table_evicted": 900})],
    "expiry-burst": [
        ({"table_expired": 50_000, "expired_peak": 40_000}, {"table_expired": 50_000})
    ],
    "slow-reader": [({"write_partial": 100}, {"write_partial": 21})],
    "frequent-fsync": [({"fsyncs": 900}, {"fsyncs": 10})],
    "descriptor-churn": [
        ({"closes": 500}, {"closes": 100}),
        ({"opens": 900, "closes": 20}, {"opens": 60}),
    ],
    "memory-bound": [
        ({"moved_bytes": 4e9, "busy_seconds": 5.0, "cpu_seconds": 4.0}, {"busy_seconds": 5.0})
    ],
    "page-faults": [
        ({"minor_faults": 90_000}, {"minor_faults": 1900}),
        ({"major_faults": 90}, {"major_faults": 5}),
    ],
    "cpu-bound": [
        ({"cpu_seconds": 9.5, "busy_seconds": 9.9}, {"cpu_seconds": 8.0, "busy_seconds": 8.2})
    ],
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
    "idle": [
        ({"commands": 0, "cpu_seconds": 0.1}, {"commands": 1, "cpu_seconds": 0.1}),
        ({"commands": 0}, {"commands": 1}),
    ],
    "local-reads": [({}, {"calls": 20_000})],
    "standing-by": [({"accepts": 0}, {"accepts": 1})],
    "upkeep": [({}, {})],
    "many-connects": [
        ({"connects": 400}, {"connects": 100}),
        ({"connects": 100, "failed_connects": 50}, {"connects": 100, "failed_connects": 5}),
    ],
    "request-heavy-client": [
        (
            {"writes": 20_000, "reads": 100, "clients_writes": 20_100},
            {"writes": 20_000, "reads": 100, "clients_writes": 40_000},
        )
    ],
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
    # The others are not a matter of one system call.
    assert situations - marked == {
        "table-full",
        "cpu-bound",
        "memory-bound",
        "page-faults",
        "eviction-storm",
        "expiry-burst",
        "idle",
    }


def test_the_situations_of_the_lab_are_all_there() -> None:
    assert set(SEVERITY) == {rule.situation for rule in FINDINGS}
    assert {
        "idle", "request-heavy-client", "small-reads", "small-writes", "connection-churn",
        "descriptor-churn", "many-connects", "chatty", "frequent-fsync", "unfair-accept",
        "thundering-herd", "hot-worker", "lock-contention", "stopped-holder", "table-full",
        "eviction-storm", "expiry-burst", "shallow-pipeline", "slow-reader", "eagain-storm",
        "respawn-loop", "cpu-bound", "memory-bound", "page-faults",
    } <= set(SEVERITY)  # fmt: skip


@pytest.mark.parametrize("rule", FINDINGS, ids=lambda rule: rule.situation)
def test_a_finding_has_a_next_command_whose_blanks_can_be_filled(rule: Rule) -> None:
    filled = rule.next.format(table="default", pid=1, port=6390, directory="run")
    assert filled and "{" not in filled


def test_confidence_grows_with_the_events_and_the_distance_from_the_threshold() -> None:
    rule = next(rule for rule in RULES if rule.situation == "connection-churn")

    def confidence(accepts: float, commands: float) -> float:
        return rule.confidence(derive({"accepts": accepts, "closes": 0, "commands": commands}))

    assert confidence(25, 110) < confidence(250, 1100) < confidence(900, 1100) == rule.certainty


def test_two_clients_are_surely_more_than_one() -> None:
    rule = next(rule for rule in RULES if rule.situation == "request-heavy-client")
    busy = {"writes": 10_000, "clients_writes": 10_010, "connects": 1, "seconds": 1, "clients": 2}
    assert rule.confidence(derive(dict(busy))) == pytest.approx(rule.certainty)


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
    assert units.in_words(name, value) == words
