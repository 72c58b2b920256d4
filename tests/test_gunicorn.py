"""gunicorn --preload: its workers inherit one handle, and each is a participant of its own."""

import contextlib
import http.client
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from conftest import DEADLINE, still_running, wait_until
from forked import participants

import forkkv

WORKERS = 2


class Gunicorn:
    """An arbiter and its workers on a unix socket."""

    def __init__(self, name: str, directory: Path) -> None:
        self.socket = directory / "gunicorn.sock"
        options = ["--preload", "--workers", str(WORKERS), "--bind", f"unix:{self.socket}"]
        options += ["--log-level", "warning", "--no-control-socket"]
        self.arbiter = psutil.Popen(
            [sys.executable, "-m", "gunicorn", *options, "preloaded_app:app"],
            cwd=Path(__file__).parent,
            env=os.environ | {"PRELOADED_TABLE": name},
        )

    def open(self, path: str) -> socket.socket:
        """A connection that has asked for `path`."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE)
        connection.connect(str(self.socket))
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return connection

    def count(self) -> int:
        """The pid of the worker that served the request."""
        with self.open("/count") as connection:
            response = http.client.HTTPResponse(connection)
            response.begin()
            assert response.status == 200
            return int(response.read())

    def workers(self) -> list[psutil.Process]:
        return self.arbiter.children()

    def serves_with(self, pids: set[int]) -> None:
        """Returns once each of these workers has served a request."""
        served: set[int] = set()

        def ask() -> bool:
            served.add(self.count())
            return served >= pids

        wait_until(ask, f"all of {pids} to serve")

    def worker_pids(self) -> set[int]:
        wait_until(lambda: len(self.workers()) == WORKERS and self.socket.exists(), "workers")
        return {worker.pid for worker in self.workers()}


@pytest.fixture
def table(table_name: str) -> Iterator[forkkv.Table]:
    with forkkv.attach(table_name, create=True, memory="4mb") as attached:
        yield attached
        attached.repair()
        assert list(participants(attached)) == [os.getpid()]


@pytest.fixture
def gunicorn(table: forkkv.Table, table_name: str, tmp_path: Path) -> Iterator[Gunicorn]:
    started = Gunicorn(table_name, tmp_path)
    try:
        started.serves_with(started.worker_pids())
        yield started
    finally:
        family = [started.arbiter]
        with contextlib.suppress(psutil.NoSuchProcess):
            family += started.workers()
        if started.arbiter.poll() is None:
            started.arbiter.terminate()
            started.arbiter.wait(DEADLINE)
        for process in still_running(family):
            process.kill()
        wait_until(lambda: not still_running(family), "all of gunicorn to end")


def test_each_worker_is_a_participant_of_its_own(table: forkkv.Table, gunicorn: Gunicorn) -> None:
    workers = gunicorn.worker_pids()
    everybody = {os.getpid(), gunicorn.arbiter.pid, *workers}
    assert participants(table) == dict.fromkeys(everybody, True)
    served = [int(table[f"pid {pid}"]) for pid in workers]
    assert all(served)
    assert sum(served) == int(table["requests"])


def test_a_worker_killed_while_it_writes_is_repaired_and_replaced(
    table: forkkv.Table, gunicorn: Gunicorn
) -> None:
    before = gunicorn.worker_pids()
    with gunicorn.open("/hold"):
        wait_until(lambda: "hot" in table, "a worker to write")
        [busy] = before - {gunicorn.count()}
        os.kill(busy, signal.SIGKILL)
    wait_until(lambda: participants(table).get(busy) is not True, "the death to be seen")
    table["hot"] = "by another"
    wait_until(lambda: busy not in gunicorn.worker_pids(), "another worker")
    gunicorn.serves_with(gunicorn.worker_pids())
    table.repair()
    assert busy not in participants(table)
    assert len(participants(table)) == 2 + WORKERS
    assert table.check() is None


def test_a_killed_arbiter_leaves_a_clean_table(table: forkkv.Table, gunicorn: Gunicorn) -> None:
    orphans = gunicorn.workers()
    gunicorn.arbiter.kill()
    gunicorn.arbiter.wait(DEADLINE)
    wait_until(lambda: participants(table)[gunicorn.arbiter.pid] is False, "its death to be seen")
    table["key"] = "value"
    assert table.check() is None

    def have_left() -> bool:
        with contextlib.suppress(OSError):
            gunicorn.open("/count").close()  # else they look for their parent every 15 seconds
        return not still_running(orphans)

    wait_until(have_left, "its workers to leave")
    table.repair()
    assert list(participants(table)) == [os.getpid()]
