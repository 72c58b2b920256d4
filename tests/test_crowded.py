"""More processes than a table has entries for: a clear refusal, and the tools still work."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from conftest import RunningServer, StartServer, wait_until

import forkkv
from forkkv.cli import main

ENTRIES = 511
REFUSAL = "all 511 participant entries are taken by living processes"


@pytest.fixture
def crowd(table_name: str) -> Iterator[list[forkkv.Table]]:
    """Every entry of the table taken, each by a participant of its own."""
    with contextlib.ExitStack() as handles:
        first = handles.enter_context(forkkv.attach(table_name, create=True, memory="16mb"))
        others = [handles.enter_context(forkkv.attach(table_name)) for _ in range(ENTRIES - 1)]
        yield [first, *others]


def test_the_next_process_is_refused_until_one_leaves(crowd: list[forkkv.Table]) -> None:
    crowd[0]["k"] = b"v"
    with pytest.raises(forkkv.Error, match=REFUSAL):
        forkkv.attach(crowd[0].name)
    assert crowd[-1]["k"] == b"v"
    crowd[100].close()
    with forkkv.attach(crowd[0].name) as table:
        assert table["k"] == b"v"


def test_stats_and_unlink_need_no_entry_and_check_says_why_it_cannot(
    crowd: list[forkkv.Table],
) -> None:
    name, runner = crowd[0].name, CliRunner()
    reading = json.loads(runner.invoke(main, ["stats", "--name", name, "--json"]).output)
    assert len(reading["processes"]) == ENTRIES
    assert runner.invoke(main, ["stats", "--name", name]).output.count("attached") == ENTRIES
    check = runner.invoke(main, ["check", name])
    assert check.exit_code == 2
    assert REFUSAL in check.output
    assert runner.invoke(main, ["unlink", name]).exit_code == 0
    with pytest.raises(forkkv.TableRetired):
        crowd[0]["k"] = b"v"


@contextlib.contextmanager
def worker_without_an_entry(server: RunningServer) -> Iterator[forkkv.Table]:
    """Kills worker 0 and takes the last entry before it is replaced; yields who has that."""
    victim = server.pids()[0]
    with contextlib.ExitStack() as handles:
        os.kill(server.process.pid, signal.SIGSTOP)  # so that nobody takes the entry before us
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in server.pids(), "its death")
        with pytest.raises(forkkv.Error, match=REFUSAL):
            while True:
                last = handles.enter_context(forkkv.attach(server.name))
        os.kill(server.process.pid, signal.SIGCONT)
        wait_until(lambda: "worker 0: cannot begin yet" in server.log, "the new worker to start")
        assert REFUSAL in server.log
        yield last


def test_a_worker_that_finds_no_entry_waits_for_one(server: RunningServer) -> None:
    victim, survivor = server.pids()
    with worker_without_an_entry(server) as last:
        assert server.pids() == [survivor]
        last.close()
        server.wait_replaced(victim)
    assert server.log.count("cannot begin yet") == 1
    assert "Traceback" not in server.log


def test_a_worker_that_waits_for_an_entry_leaves_when_it_is_told_to(server: RunningServer) -> None:
    with worker_without_an_entry(server):
        assert server.stop() == 0
    assert "did not leave in time" not in server.log
    assert "Traceback" not in server.log


def test_a_server_is_refused_with_the_same_sentence(
    crowd: list[forkkv.Table], start_server: StartServer
) -> None:
    server = start_server("--workers", "1", "--memory", "16mb", ready=False)
    assert server.process.wait(20) == 1
    assert REFUSAL in server.log
    assert "Traceback" not in server.log
