"""What a table and its participants say of themselves."""

import time

import pytest

from forkkv import _core, objects

SIZE = _core.MEMORY_MIN  # of the fixture's table


def test_facts_tell_sizes_and_limits(table: _core.Table) -> None:
    table.set("key", b"x" * 100, ttl=1000)
    facts = table.facts()
    assert facts["memory_limit_bytes"] == SIZE
    assert 0 < facts["memory_used_bytes"] <= SIZE
    assert 100 <= facts["live_bytes"] < 200
    assert (facts["keys"], facts["expiring"], facts["participants"]) == (1, 1, 1)
    assert facts["retired"] is False


def test_a_participant_says_what_it_is_and_does(table: _core.Table) -> None:
    table.enroll(_core.WORKER, 7)
    table.set_state("serving")
    table.count_up("accepted")
    table.count_up("accepted", 4)
    table.set_counter("connections", 3)
    table.count_command(2, 1500, True)
    table.count_command(2, 500, False)
    table.heartbeat()
    [mine] = table.participants()
    assert (mine["role"], mine["index"], mine["alive"]) == ("worker", 7, True)
    assert mine["state"] == "serving"
    assert (mine["counts"]["accepted"], mine["counts"]["connections"]) == (5, 3)
    assert mine["commands"][2] == (2, 2000, 1)
    assert set(mine["counts"]) == {*_core.SYSCALLS, *_core.EVENTS}
    assert 0 <= time.monotonic_ns() - mine["heartbeat_ns"] < 60e9


def test_worker_loads_lists_workers_only(table: _core.Table, table_name: str) -> None:
    assert table.worker_loads() == []
    worker = objects.open_table(table_name, _core.WORKER, 2)
    worker.set_counter("connections", 9)
    worker.set_state("draining")
    [(index, pid, connections, heartbeat_ns, state)] = table.worker_loads()
    [facts] = [each for each in table.participants() if each["role"] == "worker"]
    assert (index, pid, connections, state) == (2, facts["pid"], 9, "draining")
    assert heartbeat_ns == facts["heartbeat_ns"]


def test_what_a_process_counted_stays_when_it_leaves(table: _core.Table, table_name: str) -> None:
    worker = objects.open_table(table_name, _core.WORKER)
    worker.count_up("accepted", 5)
    worker.set_counter("connections", 3)
    worker.count_command(2, 1000, False)
    worker.close()
    departed = table.departed()
    assert (departed["counts"]["accepted"], departed["counts"]["connections"]) == (5, 0)
    assert departed["commands"][2] == (1, 1000, 0)


def test_hits_and_misses_are_counted(table: _core.Table) -> None:
    table["key"] = "value"
    table.get("key")
    table.get("missing")
    table.get_many(["key", "missing", "missing"])
    [mine] = table.participants()
    assert (mine["counts"]["hits"], mine["counts"]["misses"]) == (2, 3)


def test_a_counter_row_and_state_that_do_not_exist_are_refused(table: _core.Table) -> None:
    with pytest.raises(ValueError, match="no counter 'nonsense'"):
        table.count_up("nonsense")
    with pytest.raises(ValueError, match="no row 96"):
        table.count_command(96, 0, False)
    with pytest.raises(ValueError, match="at most 31 bytes"):
        table.set_state("x" * 32)


def test_upkeep_of_a_healthy_table_finds_nothing(table: _core.Table) -> None:
    table["key"] = "value"
    assert table.repair() == 0
    assert table.reclaim_ahead() is False
    assert table.check() is None
    assert table["key"] == b"value"
