"""The wall clock is set forward and back under a server: expiry follows it, and nothing else does.

The machine's clock is left alone: a library of a few lines is loaded before all others, and adds
the seconds that stand in a file to what CLOCK_REALTIME says.
"""

import struct
import subprocess
import threading
from pathlib import Path

import hiredis
import pytest
from conftest import RunningServer, StartServer, wait_until
from holders import SETS_ONE, holds_k, stopped_holder
from programs import needs

DAY = 86400
SHIM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *step;

__attribute__((constructor)) static void map_step(void) {
    int fd = open(getenv("CLOCK_STEP"), O_RDONLY);
    step = mmap(NULL, sizeof *step, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = (int)syscall(SYS_clock_gettime, clock, at);
    if (clock == CLOCK_REALTIME && step != NULL)
        at->tv_sec += *step;
    return result;
}
"""


class WallClock:
    """The clock of the processes that are started from now on."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        needs("cc")
        self.path = directory / "step"
        self.step(0)
        shim = directory / "shim.so"
        command = ["cc", "-shared", "-fPIC", "-o", str(shim), "-x", "c", "-"]
        subprocess.run(command, input=SHIM.encode(), check=True)
        monkeypatch.setenv("CLOCK_STEP", str(self.path))
        monkeypatch.setenv("LD_PRELOAD", str(shim))

    def step(self, seconds: int) -> None:
        """Sets it so many seconds ahead of the machine's, or behind."""
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WallClock:
    return WallClock(tmp_path, monkeypatch)


def test_keys_expire_by_the_wall_clock_and_the_swept_stay_gone(
    clock: WallClock, start_server: StartServer
) -> None:
    server = start_server("--workers", "1")
    assert server.ask("SET", "soon", "v", "EX", "1000") == b"OK"
    assert server.ask("SET", "later", "v", "EX", str(3 * DAY)) == b"OK"
    clock.step(DAY)
    assert server.ask("GET", "soon") is None
    assert server.ask("TTL", "soon") == -2
    assert 2 * DAY - 60 < server.ask("TTL", "later") <= 2 * DAY
    assert server.ask("DBSIZE") == 1

    def is_swept() -> bool:
        with server.connect() as client:
            return bool(client.info("stats")["expired_keys"] == 1)

    wait_until(is_swept, "the sweep")
    clock.step(-DAY)
    assert server.ask("GET", "soon") is None
    assert 4 * DAY - 60 < server.ask("TTL", "later") <= 4 * DAY
    assert server.ask("GETEX", "later", "EX", "50") == b"v"
    assert 0 < server.ask("TTL", "later") <= 50
    assert int(server.ask("TIME")[0]) > 0


def uptime(server: RunningServer) -> int:
    with server.connect() as client:
        seconds: int = client.info("server")["uptime_in_seconds"]
        return seconds


def test_nothing_but_expiry_notices_that_the_clock_jumps_about(
    clock: WallClock, start_server: StartServer
) -> None:
    server = start_server("--workers", "2", "--stall", "2")
    family = {process.pid for process in server.family()}
    for number in range(60):
        clock.step((-1) ** number * DAY)
        assert server.ask("INCR", "n") == number + 1
        assert 0 <= uptime(server) < 60
    assert {process.pid for process in server.family()} == family
    assert "killed" not in server.log


def test_a_wait_for_a_lock_ends_though_the_clock_was_set_back(
    clock: WallClock, start_server: StartServer
) -> None:
    server = start_server("--workers", "1", "--lock-timeout", "0.5")
    replies: list[object] = []
    with stopped_holder(server.name, SETS_ONE, holds_k):
        waiter = threading.Thread(target=lambda: replies.append(server.ask("SET", "k", "v")))
        waiter.start()
        clock.step(-DAY)
        waiter.join()
        clock.step(DAY)
    assert isinstance(replies[0], hiredis.ReplyError) and "BUSY" in str(replies[0])
