"""What each signal makes the master do."""

import os
import signal
import subprocess

import pytest
from conftest import (
    RunningServer,
    StartServer,
    left_behind,
    wait_until,
)

from forkkv.master import SIGNALS, Master


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_graceful_stop_answers_what_was_read(server: RunningServer, number: int) -> None:
    with server.open_socket() as connection, server.open_socket():
        connection.sendall(b"INCR n\r\n" * 1000)
        assert connection.recv(5) == b":1\r\n:"
        assert server.stop(number) == 0
        replies = b":"
        while received := connection.recv(1 << 16):
            replies += received
    lines = replies.split(b"\r\n")
    assert lines[-1] == b""
    assert lines[:-1] == [b":%d" % number for number in range(2, len(lines) + 1)]
    assert left_behind(server.name) == []


def test_after_a_stop_nobody_listens(server: RunningServer) -> None:
    assert server.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        server.open_socket()
    assert not server.unix.exists()


def test_a_worker_that_does_not_leave_is_killed_after_the_grace(start_server: StartServer) -> None:
    server = start_server("--workers", "2", "--grace", "1")
    stopped, _ = server.pids()
    os.kill(stopped, signal.SIGSTOP)
    assert server.stop() == 0
    assert f"worker 0, pid {stopped}, did not leave in time; killed" in server.log


def test_a_second_signal_stops_at_once(start_server: StartServer) -> None:
    server = start_server("--workers", "2", "--grace", "600")
    os.kill(server.pids()[0], signal.SIGSTOP)
    server.process.send_signal(signal.SIGINT)
    wait_until(lambda: "once more" in server.log, "the first signal to be taken")
    assert server.stop(signal.SIGINT) == 0
    assert "stopping at once" in server.log


def test_quit_stops_at_once(start_server: StartServer) -> None:
    server = start_server("--workers", "2", "--grace", "600")
    os.kill(server.pids()[0], signal.SIGSTOP)
    assert server.stop(signal.SIGQUIT) == 0
    assert left_behind(server.name) == []


def test_hup_replaces_every_worker_and_keeps_serving(server: RunningServer) -> None:
    old = server.pids()
    with server.connect() as client:
        client.set("k", "v")
    server.process.send_signal(signal.SIGHUP)
    served = 0
    while set(workers := server.pids()) & set(old) or len(workers) != 2:
        with server.connect() as client:
            assert client.get("k") == b"v"
            served += 1
    assert served
    assert "was killed" not in server.log


def test_ttin_and_ttou_change_the_number_of_workers(server: RunningServer) -> None:
    server.process.send_signal(signal.SIGTTIN)
    wait_until(lambda: len(server.pids()) == 3, "a third worker")
    server.process.send_signal(signal.SIGTTOU)
    wait_until(lambda: len(server.pids()) == 2, "two workers")
    server.process.send_signal(signal.SIGTTOU)
    wait_until(lambda: len(server.pids()) == 1, "one worker")
    server.process.send_signal(signal.SIGTTOU)
    wait_until(lambda: server.log.count("1 workers from now on") == 2, "the last to stay")
    assert len(server.pids()) == 1
    assert "was killed" not in server.log


def test_usr1_writes_a_line_to_the_log(server: RunningServer) -> None:
    server.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: "0 keys" in server.log, "the line")


def test_every_signal_has_a_method() -> None:
    for number in SIGNALS:
        assert callable(getattr(Master, "handle_" + number.name[3:].lower()))


def test_nothing_runs_between_for_a_signal(server: RunningServer) -> None:
    status = subprocess.run(
        ["cat", f"/proc/{server.process.pid}/status"], capture_output=True, text=True, check=True
    ).stdout
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    mask = int(caught.split()[1], 16)
    assert not any(mask >> (number - 1) & 1 for number in SIGNALS - {signal.SIGINT})
