"""The master keeps one server's processes alive, and ends them all when it ends."""

import os
import signal
import socket
import time
from typing import Any, cast

import psutil
import pytest
import redis
from conftest import (
    DEADLINE,
    RunningServer,
    StartServer,
    check_table,
    free_port,
    left_behind,
    still_running,
    wait_until,
)

from forkkv import backoff, objects
from forkkv.children import Child
from forkkv.config import Config
from forkkv.master import Master


def test_a_killed_worker_is_replaced_and_others_do_not_notice(server: RunningServer) -> None:
    victim, survivor = server.pids()
    clients = [server.connect() for _ in range(4)]
    of_worker = {client.client_info()["worker"]: client for client in clients}
    of_worker["1"].set("k", "v")
    os.kill(victim, signal.SIGKILL)
    assert of_worker["1"].get("k") == b"v"
    server.wait_replaced(victim)
    assert survivor in server.pids()
    assert f"worker 0, pid {victim}, was killed by SIGKILL; repaired" in server.log
    assert of_worker["1"].get("k") == b"v"
    check_table(server.name)
    for client in clients:
        client.close()


def test_a_killed_keeper_is_replaced(server: RunningServer) -> None:
    (keeper,) = server.pids("keeper")
    os.kill(keeper, signal.SIGKILL)
    server.wait_replaced(keeper, "keeper")
    assert f"keeper, pid {keeper}, was killed by SIGKILL" in server.log


def test_no_acknowledged_write_is_lost_when_workers_are_killed(start_server: StartServer) -> None:
    server = start_server("--workers", "3")
    acknowledged = 0
    kills = 0
    while kills < 6:
        with server.connect() as client:
            try:
                for _ in range(50):
                    client.incr("counter")
                    acknowledged += 1
                os.kill(int(client.info("workers")["worker0"]["pid"]), signal.SIGKILL)
                kills += 1
                while True:
                    client.incr("counter")
                    acknowledged += 1
                    if acknowledged % 100 == 0:
                        break
            except (redis.ConnectionError, KeyError, ProcessLookupError):
                acknowledged += 0
    with server.connect() as client:
        stored = int(cast(bytes, client.get("counter")))
    assert acknowledged <= stored <= acknowledged + kills


def test_a_stopped_worker_is_killed_and_replaced(start_server: StartServer) -> None:
    server = start_server("--workers", "2", "--stall", "2")
    stopped, _ = server.pids()
    os.kill(stopped, signal.SIGSTOP)
    server.wait_replaced(stopped)
    assert f"worker 0, pid {stopped}, gives no sign of life; killed" in server.log


def test_a_stop_of_the_whole_server_kills_nobody(start_server: StartServer) -> None:
    server = start_server("--workers", "2", "--stall", "2")
    family = server.family()
    for process in family:
        process.suspend()
    wait_until(lambda: all(p.status() == psutil.STATUS_STOPPED for p in family), "all to stop")
    time.sleep(4)  # longer than the limit for a sign of life: what the test is about
    for process in family:
        process.resume()
    heartbeats = server.ask("INFO", "stats")
    wait_until(lambda: server.ask("INFO", "stats") != heartbeats, "the server to go on")
    assert {process.pid for process in server.family()} == {process.pid for process in family}
    assert "killed" not in server.log


def test_a_worker_whose_master_died_leaves_and_the_next_server_takes_over(
    start_server: StartServer,
) -> None:
    first = start_server("--workers", "2")
    with first.connect() as client:
        client.set("k", "v")
        family = first.family()
        first.process.kill()
        first.process.wait()
        second = start_server("--workers", "1", "--port", str(first.port))
        assert still_running(family) == []
    assert first.log.count("the master is gone; leaving") == 2
    assert "was left behind; serving it, repaired" in second.log
    with first.connect() as client:
        assert client.get("k") == b"v"


def test_an_empty_table_left_behind_is_served_by_the_next(start_server: StartServer) -> None:
    first = start_server("--workers", "1")
    first.process.kill()
    first.process.wait()
    second = start_server("--workers", "1")
    assert "was left behind; serving it, repaired" in second.log
    assert second.ask("SET", "k", "v") == b"OK"


def test_a_table_that_is_kept_is_served_by_the_next(start_server: StartServer) -> None:
    first = start_server("--workers", "1", "--keep")
    with first.connect() as client:
        client.set("k", "v")
    assert first.stop() == 0
    second = start_server("--workers", "1")
    with second.connect() as client:
        assert client.get("k") == b"v"


def test_a_second_server_of_the_same_table_is_refused(
    server: RunningServer, start_server: StartServer
) -> None:
    second = start_server("--workers", "1", ready=False)
    assert second.process.wait(20) == 1
    assert f"is served already, by process {server.process.pid}" in second.log
    assert "--name" in second.log
    assert server.ask("PING") == b"PONG"


def test_a_port_in_use_leaves_nothing_behind(table_name: str, start_server: StartServer) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as other:
        port = other.getsockname()[1]
        server = start_server("--workers", "1", "--port", str(port), ready=False)
        assert server.process.wait(20) == 1
    assert f"port {port}" in server.log
    assert "--port" in server.log
    assert "Traceback" not in server.log
    assert left_behind(table_name) == []
    assert not server.unix.exists()


def test_a_start_that_fails_keeps_the_keys_left_behind(start_server: StartServer) -> None:
    first = start_server("--workers", "1", "--keep")
    assert first.ask("SET", "k", "v") == b"OK"
    assert first.stop() == 0
    with socket.create_server(("127.0.0.1", free_port())) as other:
        port = other.getsockname()[1]
        second = start_server("--workers", "1", "--port", str(port), ready=False)
        assert second.process.wait(20) == 1
    assert start_server("--workers", "1").ask("GET", "k") == b"v"


def test_a_table_removed_under_the_server_ends_it(server: RunningServer) -> None:
    objects.unlink(server.name)
    assert server.process.wait(20) == 1
    assert "unlinked or replaced" in server.log


def test_a_replaced_table_is_not_removed_by_the_old_server(
    server: RunningServer, table_name: str
) -> None:
    os.kill(server.process.pid, signal.SIGSTOP)
    objects.unlink(table_name)
    objects.create(table_name, 8 << 20).close()
    os.kill(server.process.pid, signal.SIGCONT)
    assert server.process.wait(20) == 1
    assert objects.exists(table_name)


def test_kill_storms_leave_a_sound_table(start_server: StartServer) -> None:
    server = start_server("--workers", "3")
    for round_number in range(5):
        for process in server.family()[1:]:
            if process.pid % 2 == round_number % 2:
                process.kill()
        wait_until(lambda: len(server.pids()) == 3 and len(server.pids("keeper")) == 1, "all back")
        assert server.ask("SET", "k", str(round_number)) == b"OK"
    check_table(server.name)


class FakeTable:
    """A table of which the master sees the participants only."""

    def __init__(self) -> None:
        self.retired = False
        self.rows: list[dict[str, Any]] = []

    def participants(self) -> list[dict[str, Any]]:
        return self.rows

    def facts(self) -> dict[str, Any]:
        return {"retired": self.retired}

    def set_state(self, state: str) -> None:
        self.state = state

    def repair(self) -> int:
        return 0


def wait_for_term() -> int:
    signal.sigtimedwait({signal.SIGTERM}, 60)
    return 0


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch) -> Master:
    """A master whose workers and keeper exit with code 3 as soon as they are forked."""
    made = Master(Config(workers=1), cast(Any, FakeTable()), [])
    monkeypatch.setattr(made, "run_worker", lambda index: 3)
    monkeypatch.setattr(made, "run_keeper", wait_for_term)
    return made


def test_a_worker_that_keeps_dying_young_ends_the_server(
    master: Master, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    monkeypatch.setattr(backoff, "DELAY_MAX", 0.01)
    end = time.time() + DEADLINE
    while not (master.stopping and not master.children) and time.time() < end:
        master.reap_dead()
        master.kill_stalled()
        master.spawn_missing()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert master.exit_code == 1
    assert caplog.text.count("worker 0, pid") == backoff.YOUNG_DEATHS_MAX
    assert "giving up" in caplog.text


def test_a_strangers_entry_with_the_pid_of_a_child_is_not_the_childs(master: Master) -> None:
    worker = {"pid": 77, "role": "worker", "index": 0, "alive": True, "state": "serving"}
    master.children.by_pid[77] = Child(77, "worker", 0)
    cast(FakeTable, master.table).rows = [
        {**worker, "role": "attached", "state": "in another PID namespace"},
        worker,
        {**worker, "alive": False, "state": "had the pid before"},
        {**worker, "index": 1, "state": "of another server"},
    ]
    assert master._enrolled() == {77: worker}


def test_a_failure_of_the_master_leaves_no_child(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(master, "run_worker", lambda index: wait_for_term())
    pids: set[int] = set()

    def fail() -> None:
        pids.update(master.children.by_pid)
        raise ZeroDivisionError

    monkeypatch.setattr(master, "announce", fail)
    with pytest.raises(ZeroDivisionError):
        master.run()
    assert len(pids) == master.config.workers + 1 and len(master.children) == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)
