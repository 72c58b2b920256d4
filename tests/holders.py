"""Processes that are stopped while they hold a lock.

The holder writes in a tight loop, and is stopped again and again until it happens to hold it.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from conftest import DEADLINE, wait_until

import forkkv
from forkkv.clients.local import Table

SETS_ONE = """
while True:
    table.set("k", b"x" * 1000)
"""
SETS_MANY = """
number = 0
while True:
    number += 1
    table.set_many({f"many{i}": str(number) for i in range(300)})
"""
MANY = [f"many{i}" for i in range(300)]
ATTACH = "import sys, forkkv\ntable = forkkv.attach(sys.argv[1])\n"


def stop_when(pid: int, condition: Callable[[], bool]) -> None:
    """Stops the process at random moments until the condition holds, and leaves it stopped."""
    end = time.monotonic() + DEADLINE
    while True:
        time.sleep(random.uniform(0, 0.003))
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: state_of(pid) == "T", "it to stop")
        if condition():
            return
        os.kill(pid, signal.SIGCONT)
        assert time.monotonic() < end, "it never held the lock when it was stopped"


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def is_busy(operation: Callable[[], object]) -> bool:
    try:
        operation()
    except forkkv.TableBusy:
        return True
    return False


def holds_k(probe: Table) -> bool:
    """Whether it is the lock of k's partition that is held, and not the segment list's."""
    busy = [is_busy(partial(probe.set, key, b"")) for key in ("k", "other", "another")]
    return busy[0] and not all(busy)


def commits_many(probe: Table) -> bool:
    return is_busy(lambda: probe.get_many(MANY))


@contextmanager
def stopped_holder(name: str, program: str, holds: Callable[[Table], bool]) -> Iterator[int]:
    """The pid of a process that runs `program`, and was stopped when `holds` was true."""
    with subprocess.Popen([sys.executable, "-c", ATTACH + program, name]) as process:
        try:
            with forkkv.attach(name, lock_timeout=0) as probe:
                wait_until(lambda: len(probe) > 0, "the first write")
                stop_when(process.pid, lambda: holds(probe))
            yield process.pid
        finally:
            process.kill()
