"""`forkkv client` on the command line: its modes, its exit codes, and what it refuses."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import RunningServer
from peers import CLIENT, RedisServer, Terminal, redis_server

from forkkv.clients.command import client
from forkkv.clients.workloads import WORKLOADS


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def invoke(url: str, *arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(client, ["--url", url, *arguments], input=typed)


def test_a_command_is_run_from_the_arguments(redis: RedisServer) -> None:
    assert invoke(redis.url, "SET", "k", "5", "EX", "100").output == "OK\n"
    result = invoke(redis.url, "--no-raw", "INCRBY", "k", "-3")
    assert (result.output, result.exit_code) == ("(integer) 2\n", 0)


def test_an_error_reply_exits_with_1(redis: RedisServer) -> None:
    assert invoke(redis.url, "NONSENSE").exit_code == 1
    assert invoke(redis.url, typed="PING\nNONSENSE\nPING\n").exit_code == 1
    assert invoke(redis.url, typed="PING\n").exit_code == 0


def test_it_calls_itself_by_its_number(redis: RedisServer) -> None:
    assert invoke(redis.url, "--id", "9", "CLIENT", "GETNAME").output == "client-9\n"


def test_the_system_calls_are_told_on_request(redis: RedisServer) -> None:
    result = invoke(redis.url, "--calls", typed="PING\nPING\n")
    assert result.stdout == "PONG\nPONG\n"
    assert result.stderr == "system calls: write 3  read 3  connect 1  close 1\n"


def test_a_smaller_buffer_takes_more_reads_for_the_same_reply(redis: RedisServer) -> None:
    invoke(redis.url, "SET", "large", "x" * 10_000)
    result = invoke(redis.url, "--calls", "--buffer", "1kb", "GET", "large")
    assert result.stdout == "x" * 10_000 + "\n"
    reads = int(result.stderr.split("read ")[1].split()[0])
    assert reads >= 1 + -(-10_010 // 1024)  # one for the name, and ten or more for the value


@pytest.mark.parametrize("arguments", [("PING",), ("--workload", "mixed")])
def test_no_server_exits_with_1_and_the_next_step(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    result = invoke(f"unix://{tmp_path}/none.sock", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: cannot connect to ")
    assert "forkkv serve --unix" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--url", "nonsense", "PING"), "forkkv://HOST:PORT"),
        (("--workload", "nonsense"), "read-heavy"),
        (("--workload", "mixed", "PING"), "takes no command"),
        (("--workload", "mixed", "--ops", "1", "--seconds", "1"), "exclude each other"),
        (("--workload", "churn", "--pipeline", "2"), "does not go with churn"),
        (("--workload", "counter", "--fill"), "does not go with counter"),
        (("--workload", "mixed", "--size", "big"), "not a size"),
        (("--workload", "mixed", "--size", "1gb"), "at most 512mb"),
        (("--buffer", "0", "PING"), "a read takes 1 byte to 64mb"),
        (("--buffer", "1gb", "PING"), "a read takes 1 byte to 64mb"),
        (("--buffer", "big", "PING"), "not a size"),
        (("--rate", "5", "PING"), "--rate needs --workload"),
        (("--json", "PING"), "--json needs --workload"),
    ],
)
def test_what_does_not_fit_is_refused_with_2(
    redis: RedisServer, arguments: tuple[str, ...], message: str
) -> None:
    result = invoke(redis.url, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_workload_reports_to_people(redis: RedisServer) -> None:
    result = invoke(redis.url, "--id", "3", "--workload", "session", "--ops", "2")
    assert result.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in result.output.splitlines())
    assert lines["workload"] == "session by client-3"
    assert lines["operations"].startswith("2 in ")
    assert lines["commands"] == "16, nil replies 2"
    assert lines["errors"] == "none"
    assert lines["system"].startswith("calls  write 16  read 16  connect 2  close 2")


def test_a_workload_reports_to_machines(redis: RedisServer) -> None:
    result = invoke(redis.url, "--workload", "counter", "--ops", "23", "--json")
    report = json.loads(result.output)
    assert report["operations"] == 23
    assert report["syscalls"] == {"write": 26, "read": 26, "connect": 1, "close": 1}
    assert report["kernel_syscalls"] == {"write": 26, "read": 26}
    assert report["counter"]["lost"] == 0
    assert set(report["latency_microseconds"]) == {"p50", "p90", "p99", "p99.9", "max"}


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_runs_as_it_is_and_has_a_line_of_help(redis: RedisServer, name: str) -> None:
    result = invoke(redis.url, "--workload", name, "--seconds", "0.02", "--json")
    assert json.loads(result.output)["operations"] > 0
    assert name in invoke(redis.url, "--help").output


def test_a_terminal_shows_progress(redis: RedisServer) -> None:
    command = [*CLIENT, "--url", redis.url, "--workload", "mixed", "--seconds", "0.3"]
    with Terminal(command, TERM="xterm") as terminal:
        terminal.expect("%")
        terminal.expect("operations    ")
        assert terminal.wait() == 0


def test_ctrl_c_prints_the_result_so_far(redis: RedisServer) -> None:
    command = [*CLIENT, "--url", redis.url, "--workload", "mixed", "--seconds", "10"]
    with Terminal(command, TERM="xterm") as terminal:
        terminal.expect(" 1%")
        terminal.press("\x03")
        terminal.expect("mixed by client-1, interrupted")
        assert terminal.wait() == 130


@pytest.mark.parametrize("door", ["tcp", "unix"])
@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_runs_against_forkkv(server: RunningServer, door: str, name: str) -> None:
    url = f"forkkv://127.0.0.1:{server.port}" if door == "tcp" else f"unix://{server.unix}"
    report = json.loads(invoke(url, "--workload", name, "--ops", "7", "--json").output)
    assert report["operations"] == 7
    assert report["errors"] == {}
    assert report["syscalls"]["write"] >= report["commands"]
    assert report["syscalls"]["read"] == report["commands"]
