"""What the tests share: tables that are checked at the end, servers that leave nothing behind."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hiredis
import psutil
import pytest
import redis

from forkkv import _core, objects
from forkkv.stats import read_stats

DEADLINE = 20.0  # seconds; only ever reached by a failure
SHARED_MEMORY = Path("/dev/shm")


def wait_until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    """Returns when the condition holds; fails when it does not within the deadline."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.01)


def left_behind(name: str) -> list[Path]:
    """What is in shared memory under the name of a test."""
    return sorted(SHARED_MEMORY.glob(f"*{name}*"))


def still_running(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended. An orphan may wait for long to be reaped: it has ended, too."""
    running = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
    return running


def check_table(name: str) -> None:
    """Fails with the first broken invariant of the table."""
    table = objects.open_table(name)
    try:
        assert table.check() is None
    finally:
        table.close()


@pytest.fixture
def table_name() -> Iterator[str]:
    """A name no other test has. The table, if there is one at the end, must pass the checker."""
    name = f"test-{os.getpid()}-{secrets.token_hex(4)}"
    yield name
    try:
        if objects.exists(name):
            check_table(name)
    finally:
        with contextlib.suppress(objects.NoSuchTable):
            objects.unlink(name)
    assert left_behind(name) == []


@pytest.fixture
def table(table_name: str) -> Iterator[_core.Table]:
    """A small table of its own."""
    made = objects.create(table_name, 4 << 20)
    yield made
    made.close()


class RunningServer:
    """A server on a free port and a unix socket, with its log in a file."""

    def __init__(self, name: str, directory: Path, options: tuple[str, ...]) -> None:
        self.name = name
        self.port = free_port()
        self.unix = directory / "forkkv.sock"
        self.workers = int(options[options.index("--workers") + 1]) if options else 1
        self.log_path = directory / f"server-{self.port}.log"
        self.options = ["--port", str(self.port), "--unix", str(self.unix), "--memory", "32mb"]
        self.options += options
        command = [sys.executable, "-m", "forkkv", "serve", "--name", name]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen([*command, *self.options], stderr=log, stdout=log)

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def wait_ready(self) -> None:
        """Returns once all its processes serve; fails with the log if it ends before."""
        wait_until(lambda: self.process.poll() is not None or " ready: " in self.log, "ready")
        assert self.process.poll() is None, self.log

    def connect(self, protocol: int = 2) -> redis.Redis:
        return redis.Redis(port=self.port, protocol=protocol)

    def ask(self, *words: str | bytes, protocol: int = 2) -> Any:
        """The reply to one command, as it is; an error is a hiredis.ReplyError."""
        reader = hiredis.Reader()
        with self.open_socket() as connection:
            for request in (("HELLO", str(protocol)), words):
                connection.sendall(hiredis.pack_command(request))  # type: ignore[arg-type]
            for _ in ("greeting", "reply"):
                while (reply := reader.gets()) is False:
                    reader.feed(connection.recv(1 << 16))
        return reply

    def open_socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)

    def pids(self, role: str = "worker") -> list[int]:
        """Of its processes with that role, alive and enrolled, in the order of their indexes."""
        return [
            process["pid"]
            for process in read_stats(self.name)["processes"]
            if process["role"] == role and process["alive"]
        ]

    def wait_replaced(self, gone: int, role: str = "worker") -> list[int]:
        """The pids of that role once there are as many as before, without the one that is gone."""
        wanted = 1 if role == "keeper" else self.workers
        now: list[int] = []

        def replaced() -> bool:
            now[:] = self.pids(role)
            return len(now) == wanted and gone not in now

        wait_until(replaced, f"another {role}")
        return now

    def family(self) -> list[psutil.Process]:
        """The master and all its children."""
        with contextlib.suppress(psutil.NoSuchProcess):
            master = psutil.Process(self.process.pid)
            return [master, *master.children(recursive=True)]
        return []

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Asks it to stop and returns its exit code."""
        self.process.send_signal(signal_number)
        return self.process.wait(DEADLINE)


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


StartServer = Callable[..., RunningServer]


@pytest.fixture
def start_server(table_name: str, tmp_path: Path) -> Iterator[StartServer]:
    """start_server(*options) starts a server that is ready; at the end it must stop cleanly."""
    started: list[RunningServer] = []

    def start(*options: str, ready: bool = True) -> RunningServer:
        server = RunningServer(table_name, tmp_path, options)
        started.append(server)
        if ready:
            server.wait_ready()
        return server

    yield start
    families = [process for server in started for process in server.family()]
    try:
        for server in started:
            _finish(server)
        wait_until(lambda: not still_running(families), f"{families} to end")
    finally:
        for process in families:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _finish(server: RunningServer) -> None:
    if server.process.poll() is not None:
        return
    check_table(server.name)
    assert server.stop() == 0, server.log
    assert "--keep" in server.options or left_behind(server.name) == []


@pytest.fixture
def server(start_server: StartServer) -> RunningServer:
    """A server of two workers."""
    return start_server("--workers", "2")
