"""A whole server in a container's /dev/shm: 64 MiB, in a mount namespace of its own."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis
from conftest import DEADLINE, free_port, still_running, wait_until

AS_ROOT = os.geteuid() == 0
VALUE = b"v" * 16_000
BATCH = 100


class Contained:
    """A `forkkv serve` that sees a small /dev/shm; this process sees the host's."""

    def __init__(self, directory: Path, size: str, *options: str) -> None:
        self.port = free_port()
        self.log_path = directory / f"contained-{self.port}.log"
        serve = [sys.executable, "-m", "forkkv", "serve", "--workers", "2"]
        serve += ["--port", str(self.port), *options]
        mount = f'mount -t tmpfs -o size={size} tmpfs /dev/shm && exec "$@"'
        unshare = ["unshare", "--mount"] + ([] if AS_ROOT else ["--map-root-user"])
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*unshare, "sh", "-c", mount, "sh", *serve], stdout=log, stderr=log
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    @property
    def charged_bytes(self) -> int:
        """What the kernel charges its table."""
        return Path(f"/proc/{self.process.pid}/root/dev/shm/forkkv.default").stat().st_blocks * 512

    def wait_ready(self) -> None:
        wait_until(lambda: self.process.poll() is not None or " ready: " in self.log, "ready")
        assert self.process.poll() is None, self.log

    def run(self, *words: str) -> str:
        """What a program in the same namespace prints."""
        user = [] if AS_ROOT else ["--user", "--preserve-credentials"]
        enter = ["nsenter", "--target", str(self.process.pid), "--mount", *user]
        done = subprocess.run(
            [*enter, sys.executable, *words], capture_output=True, text=True, timeout=DEADLINE
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stop(self) -> None:
        """Asks it to stop; it must do so cleanly, with all its processes."""
        if self.process.poll() is None:
            master = psutil.Process(self.process.pid)
            family = [master, *master.children(recursive=True)]
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(DEADLINE) == 0, self.log
            wait_until(lambda: not still_running(family), f"{family} to end")


StartContained = Callable[..., Contained]


@pytest.fixture
def contained(tmp_path: Path) -> Iterator[StartContained]:
    """contained(size, *options) starts a server; its /dev/shm goes with its last process."""
    assert shutil.which("unshare"), "apt-get install util-linux"
    started: list[Contained] = []

    def start(size: str, *options: str) -> Contained:
        started.append(Contained(tmp_path, size, *options))
        return started[-1]

    yield start
    for each in started:
        try:
            each.stop()
        finally:
            each.process.kill()
            each.process.wait(DEADLINE)


def fill(client: redis.Redis, prefix: str) -> tuple[int, str]:
    """Stores values until one is refused: how many were stored, and what the refusal says."""
    stored = 0
    while True:
        pipeline = client.pipeline(transaction=False)
        for number in range(stored, stored + BATCH):
            pipeline.set(f"{prefix}{number}", VALUE)
        replies = pipeline.execute(raise_on_error=False)
        stored += replies.count(True)
        refusals = [reply for reply in replies if reply is not True]
        if refusals:
            return stored, str(refusals[0])


def test_by_default_a_table_fits_and_a_full_one_goes_on(contained: StartContained) -> None:
    server = contained("64m")
    server.wait_ready()
    limit = 48 << 20
    assert "memory 48.0 MiB and not 256.0 MiB, because /dev/shm has 64.0 MiB free" in server.log
    with redis.Redis(port=server.port) as client:
        assert client.config_get("maxmemory") == {"maxmemory": str(limit)}
        stored, refusal = fill(client, "k")
        assert stored * len(VALUE) > limit * 0.85
        assert "maxmemory" in refusal
        assert server.run("-m", "forkkv", "check", "default").startswith(f"ok: {stored} keys")
        for number in range(stored):
            client.set(f"k{number}", VALUE[::-1])
        assert client.delete(*(f"k{number}" for number in range(stored))) == stored
        again, _ = fill(client, "again")
        assert again > stored * 0.95
    assert server.charged_bytes <= limit
    assert server.run("-m", "forkkv", "check", "default").startswith(f"ok: {again} keys")
    program = "import forkkv; print(forkkv.attach('mine', create=True).facts())"
    assert f"'memory_limit_bytes': {12 << 20}" in server.run("-c", program)


def test_a_limit_that_can_never_be_reached_is_warned_of_and_survived(
    contained: StartContained,
) -> None:
    server = contained("32m", "--memory", "256mb")
    server.wait_ready()
    assert "memory 256.0 MiB can never be used, because /dev/shm has" in server.log
    with redis.Redis(port=server.port) as client:
        stored, refusal = fill(client, "k")
        assert "/dev/shm is full" in refusal
        few = stored // 8
        assert client.get("k0") == VALUE
        assert client.delete(*(f"k{number}" for number in range(few))) == few
        for number in range(few, stored):
            client.set(f"k{number}", VALUE[::-1])
        assert client.flushall()
        assert fill(client, "again")[0] >= stored * 0.9
    assert "TOO SMALL" in server.run("-m", "forkkv", "stats")
    assert server.run("-m", "forkkv", "check", "default").startswith("ok: ")


def test_a_shared_memory_too_small_for_any_table_is_an_error(contained: StartContained) -> None:
    server = contained("3m")
    assert server.process.wait(DEADLINE) == 1
    assert server.log.startswith("Error: /dev/shm has 3.0 MiB free of 3.0 MiB, and the smallest")
    assert "--shm-size" in server.log


def test_a_limit_too_large_even_to_start_with_is_an_error_after_the_warning(
    contained: StartContained,
) -> None:
    server = contained("16m", "--memory", "1gb")
    assert server.process.wait(DEADLINE) == 1
    warning, error = server.log.splitlines()
    assert "memory 1.0 GiB can never be used" in warning and "lower --memory" in warning
    assert error.startswith("Error: table 'default': cannot reserve memory")
