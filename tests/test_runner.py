"""Runs of workloads: exact counts of system calls, and a server that errs, leaves, comes back."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from peers import RedisServer, redis_server

from forkkv.clients import runner
from forkkv.clients.connection import Connection, ConnectionFailed, SystemCalls
from forkkv.clients.result import Growth, Result
from forkkv.clients.runner import Extent, Progress, Runner
from forkkv.clients.workloads import WORKLOADS, Keyspace


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


def run(url: str, name: str, extent: Extent, on_progress: Progress | None = None) -> Result:
    """Run a workload as client-1 with small keys and values."""
    workload = WORKLOADS[name]
    connection = Connection(url, "client-1" if workload.named else None)
    keyspace = Keyspace(100, 32, "uniform", seed=1)
    return Runner("client-1", workload, connection, keyspace, extent, on_progress).run()


def calls(write: int, read: int, connect: int) -> SystemCalls:
    return SystemCalls(write=write, read=read, connect=connect, close=connect)


@pytest.mark.parametrize(
    ("name", "operations", "expected"),
    [
        ("session", 1, calls(8, 8, 1)),
        ("session", 23, calls(184, 184, 23)),
        ("read-heavy", 101, calls(102, 102, 1)),
        ("write-heavy", 101, calls(102, 102, 1)),
        ("mixed", 101, calls(102, 102, 1)),
        ("churn", 101, calls(101, 101, 101)),
        ("hot-key", 101, calls(102, 102, 1)),
        ("counter", 101, calls(104, 104, 1)),
    ],
)
def test_a_workload_makes_a_known_number_of_system_calls(
    redis: RedisServer, name: str, operations: int, expected: SystemCalls
) -> None:
    result = run(redis.url, name, Extent(operations))
    assert result.calls == expected
    assert result.kernel == {"write": expected.write, "read": expected.read}
    assert result.commands == expected.write
    assert result.operations == result.latency.count == operations
    assert not result.errors


def test_tiny_writes_are_a_write_for_each_byte(redis: RedisServer) -> None:
    requests = WORKLOADS["tiny-writes"].commands(Keyspace(100, 32, "uniform", seed=1))
    request_bytes = sum(len(request) for request in islice(requests, 11))
    result = run(redis.url, "tiny-writes", Extent(11))
    assert result.calls == calls(1 + request_bytes, 12, 1)
    assert result.kernel == {"write": 1 + request_bytes, "read": 12}
    assert not result.errors


def test_a_pipeline_shares_a_write(redis: RedisServer) -> None:
    result = run(redis.url, "mixed", Extent(100, pipeline=16))
    assert result.operations == 100
    assert result.calls.write == 1 + 7


def test_filled_keys_are_found(redis: RedisServer) -> None:
    assert run(redis.url, "mixed", Extent(50, fill=True)).misses == 0
    assert redis.cli("DBSIZE") == b"100\n"


def test_keys_that_are_not_there_are_counted(redis: RedisServer) -> None:
    assert run(redis.url, "session", Extent(3)).misses == 3


def test_seconds_end_a_run(redis: RedisServer) -> None:
    result = run(redis.url, "mixed", Extent(seconds=0.05))
    assert result.operations > 0
    assert result.elapsed_ns >= 50_000_000


def test_a_counter_grows_by_what_was_acknowledged(redis: RedisServer) -> None:
    redis.cli("SET", "counter", "1000")
    result = run(redis.url, "counter", Extent(50))
    assert result.growth == Growth(before=1000, after=1050, acknowledged=50)
    assert result.exit_code == 0


def test_a_counter_that_lost_something_fails_the_run(redis: RedisServer) -> None:
    def lose(result: Result, seconds: float) -> None:
        redis.cli("DECRBY", "counter", "3")

    result = run(redis.url, "counter", Extent(50), lose)
    assert result.growth is not None
    assert result.growth.lost >= 3
    assert "LOST" in str(result.growth)
    assert result.exit_code == 1


def test_error_replies_are_counted_by_their_first_word(redis: RedisServer) -> None:
    redis.cli("LPUSH", "counter", "x")
    result = run(redis.url, "counter", Extent(10))
    assert result.errors == {"WRONGTYPE": 10}
    assert result.operations == 10
    assert result.growth is None
    assert result.exit_code == 0


def test_a_lost_connection_is_made_again(redis: RedisServer) -> None:
    kills = iter([("CLIENT", "KILL", "TYPE", "normal")])

    def kill_once(result: Result, seconds: float) -> None:
        for command in kills:
            redis.cli(*command)

    result = run(redis.url, "counter", Extent(50), kill_once)
    assert (result.operations, result.unanswered, result.reconnects) == (49, 1, 1)
    assert result.calls.connect == 2
    assert result.growth == Growth(0, 49, 49)
    assert result.failure is None


def test_a_server_that_stays_away_ends_the_run_with_what_was_met(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "RECONNECT_SECONDS", 0.05)
    result = run(redis.url, "mixed", Extent(50), lambda result, seconds: redis.stop())
    assert (result.operations, result.unanswered) == (1, 1)
    assert result.failure is not None
    assert "cannot connect" in result.failure
    assert result.exit_code == 1


@pytest.mark.parametrize("name", ["mixed", "churn"])
def test_a_server_that_was_never_there_is_not_waited_for(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("waited"))
    with pytest.raises(ConnectionFailed):
        run(f"unix://{tmp_path}/none.sock", name, Extent(50))


def test_ctrl_c_keeps_the_result_so_far(redis: RedisServer) -> None:
    def interrupt(result: Result, seconds: float) -> None:
        raise KeyboardInterrupt

    result = run(redis.url, "mixed", Extent(50), interrupt)
    assert result.interrupted
    assert result.operations == 1
    assert result.calls == calls(2, 2, 1)
    assert result.exit_code == 130
