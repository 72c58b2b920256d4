"""Starting the servers that a benchmark compares, and reading what the kernel charges them."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

START_SECONDS = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


Greeting = tuple[bytes, bytes]  # what a server is asked, and how its answer begins
REDIS: Greeting = (b"PING\r\n", b"+PONG")
MEMCACHED: Greeting = (b"version\r\n", b"VERSION ")
PACKAGES = {  # of Debian, for what is not where it should be
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
    "redis-benchmark": "redis-tools",
    "memcached": "memcached",
}


def need(program: str) -> None:
    """Raises ClickException with the remedy if the program is not installed."""
    if shutil.which(program) is None:
        package = PACKAGES.get(program, program)
        raise click.ClickException(
            f"{program} is missing, and this compares with it: apt-get install {package}"
        )


def _answers(port: int, greeting: Greeting) -> bool:
    ask, answer = greeting
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(ask)
            return connection.recv(16).startswith(answer)
    except OSError:
        return False


@contextlib.contextmanager
def server(
    command: Sequence[str], port: int, greeting: Greeting = REDIS
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `command` until the block ends; it must answer the greeting on `port` of the loopback.

    Raises ClickException if it is not installed, RuntimeError if it does not start."""
    need(command[0])
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + START_SECONDS
        while not _answers(port, greeting):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{command[0]} did not start: run {' '.join(command)}")
            time.sleep(0.02)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def redis_command(port: int, *more: str) -> list[str]:
    return [
        "redis-server", "--port", str(port), "--save", "", "--appendonly", "no", *more,
    ]  # fmt: skip


def memcached_command(port: int, limit_mib: int) -> list[str]:
    user = pwd.getpwuid(os.geteuid()).pw_name
    words = ["memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-u", user]
    return [*words, "-t", "1", "-m", str(limit_mib)]


def connect(port: int) -> socket.socket:
    """A connection whose small requests do not wait for the answer to the one before."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def forkkv_command(port: int, name: str, workers: int, memory: str) -> list[str]:
    return [
        sys.executable, "-m", "forkkv", "serve", "--name", name, "--port", str(port),
        "--workers", str(workers), "--memory", memory,
    ]  # fmt: skip


def family(pid: int) -> list[int]:
    """The process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def cpu_ns(pid: int) -> int:
    """Nanoseconds on a CPU of the process, all its threads and its children, from schedstat.

    utime and stime of /proc/PID/stat count in ticks of 10 ms, too coarse for one round.
    """
    return sum(
        int((task / "schedstat").read_text().split()[0])
        for member in family(pid)
        for task in Path(f"/proc/{member}/task").iterdir()
    )


def pin(pid: int, cpus: set[int]) -> None:
    for member in family(pid):
        for task in Path(f"/proc/{member}/task").iterdir():
            os.sched_setaffinity(int(task.name), cpus)
