"""A stage for one scenario: servers, loads and a collection, and an end that leaves nothing."""

import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

import psutil

import forkkv
from forkkv import objects
from forkkv.perf.bench_process import free_port, redis_command
from forkkv.stats import read_stats

DEADLINE: Final = 60.0  # seconds in which a server must be up, and a condition true
FORKKV: Final = (sys.executable, "-m", "forkkv")


class Stage:
    """Use it as a context: at its end everything is ended, and the table is gone.

    What it collects is in `out`, until then.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="forkkv-proof-"))
        self.table = f"proof-{os.getpid()}-{secrets.token_hex(3)}"
        self.port = free_port()
        self.out = self.folder / "run"
        self.server: int | None = None  # the pid of a server that is not forkkv
        self.children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Stage":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in reversed(self.children):
            end(child)
        with suppress(objects.NoSuchTable):
            objects.unlink(self.table)
        shutil.rmtree(self.folder)

    def serve(self, *options: str, workers: int = 2, memory: str = "64mb") -> None:
        """Starts a forkkv server, and waits until all its processes serve."""
        words = [*FORKKV, "serve", "--name", self.table, "--port", str(self.port)]
        self.start([*words, "--workers", str(workers), "--memory", memory, *options])
        self.wait_until(lambda: len(self.pids("worker")) == workers and self.answers())

    def specimen(self, flaw: str, workers: int = 4) -> None:
        """Starts a prefork server with a flaw (see specimen.py)."""
        program = Path(__file__).with_name("specimen.py")
        words = [sys.executable, str(program), str(self.port), str(workers), flaw]
        self.server = self.start(words).pid
        self.wait_until(self.answers)

    def redis(self, *options: str) -> None:
        """Starts a redis-server that writes its log below the stage's folder."""
        where = ("--bind", "127.0.0.1", "--dir", str(self.folder))
        self.server = self.start(redis_command(self.port, *where, *options)).pid
        self.wait_until(self.answers)

    def start(self, words: Sequence[str]) -> subprocess.Popen[bytes]:
        """Starts a program, which is ended with the stage."""
        with self.log(len(self.children)).open("wb") as log:
            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.children.append(child)
        return child

    def log(self, number: int) -> Path:
        """What the program that was started as the `number`th prints."""
        return self.folder / f"program-{number}.log"

    def load(self, name: str, *arguments: object) -> subprocess.Popen[bytes]:
        """Starts a load of driver.py that nobody counts, and waits until it begins."""
        child = self.start(driver(name, *arguments))
        log = self.log(len(self.children) - 1)
        self.wait_until(lambda: "begins" in log.read_text())
        return child

    def work(self, workload: str, *options: str) -> subprocess.Popen[bytes]:
        """Starts a workload of `forkkv client` that nobody counts, and waits until it connects."""
        child = self.start(self.client(workload, *options))
        process = psutil.Process(child.pid)
        self.wait_until(lambda: child.poll() is not None or bool(process.net_connections()))
        return child

    def client(self, workload: str, *options: str) -> list[str]:
        """The words of a client, to be counted or not."""
        url = f"forkkv://127.0.0.1:{self.port}"
        words = [*FORKKV, "client", "--url", url, "--workload", workload]
        ends = [] if "--ops" in options else ["--seconds", "30"]
        return [*words, *ends, *options]

    def collect(
        self,
        *clients: Sequence[str],
        seconds: float = 1.5,
        meanwhile: Callable[[], object] | None = None,
    ) -> None:
        """Counts the server and these clients into `out`.

        `seconds` is the length of the window; `meanwhile` is called once it is open.
        """
        whom = ["--pid", str(self.server)] if self.server else ["--name", self.table]
        words = [*FORKKV, "collect", *whom, "--out", str(self.out), "--interval", "0.25"]
        for client in clients:
            words += ["--client", shlex.join(client)]
        with (self.folder / "collect.log").open("wb") as log:
            child = subprocess.Popen([*words, "--seconds", str(seconds)], stderr=log, stdout=log)
        self.children.append(child)
        said = self.folder / "collect.log"
        self.wait_until(lambda: "Ctrl-C" in said.read_text() or child.poll() is not None)
        if meanwhile is not None:
            meanwhile()
        child.wait(DEADLINE + seconds)

    def collect_flawed(self, flaw: str, workers: int = 4) -> None:
        """Counts a server with a flaw, under the one load that all of these are given."""
        self.specimen(flaw, workers)
        self.load("visit", self.port)
        self.collect()

    def pids(self, role: str) -> list[int]:
        """The living processes of the table in that role, in the order of their indexes."""
        if not objects.exists(self.table):
            return []
        with suppress(forkkv.Error):
            rows = read_stats(self.table)["processes"]
            return [each["pid"] for each in rows if each["role"] == role and each["alive"]]
        return []

    def answers(self) -> bool:
        """Whether somebody listens on the port."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def attached(self, count: int = 1) -> None:
        """Waits until so many programs have the table open."""
        self.wait_until(lambda: len(self.pids("attached")) == count)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Raises TimeoutError after DEADLINE."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"in vain: {self.logs()}")
            time.sleep(0.01)

    def logs(self) -> str:
        """What the programs of the stage have printed, for an error."""
        return "\n".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))


def end(child: subprocess.Popen[bytes]) -> None:
    """Ends a program that may be stopped, by force if it must be."""
    if child.poll() is None:
        child.send_signal(signal.SIGCONT)
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def driver(name: str, *arguments: object) -> list[str]:
    """The words that start a load of driver.py."""
    words = [sys.executable, "-m", "forkkv.perf.proof.driver", name]
    return [*words, *(str(each) for each in arguments)]
