"""Forked processes that say where they are, and one that is stopped while it holds a lock."""

import contextlib
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn

from conftest import DEADLINE, wait_until

from forkkv import TableBusy, _core, attach


class Forked:
    """A forked process that runs `work` with this object, and ends when its parent does.

    In the child: tell() a word, wait() for the parent's go_on(). In the parent: hear() that word.
    """

    def __init__(self, work: Callable[["Forked"], None]) -> None:
        hear, tell = os.pipe()
        wait, go = os.pipe()
        self.pid = os.fork()
        self.descriptors = (hear, go) if self.pid else (wait, tell)  # to read from, to write to
        os.close(tell if self.pid else hear)
        os.close(wait if self.pid else go)
        if self.pid == 0:
            self._run(work)

    def _run(self, work: Callable[["Forked"], None]) -> NoReturn:
        status = 1
        try:
            work(self)
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)

    def tell(self, word: object = "ready") -> None:
        os.write(self.descriptors[1], f"{word}\n".encode())

    def wait(self) -> None:
        os.read(self.descriptors[0], 1)

    def hear(self) -> str:
        """The next word that the child tells; fails if it ends before, or says none."""
        word = b""
        while not word.endswith(b"\n"):
            ready, _, _ = select.select([self.descriptors[0]], [], [], DEADLINE)
            assert ready, f"process {self.pid} says nothing"
            byte = os.read(self.descriptors[0], 1)
            assert byte, f"process {self.pid} ended"
            word += byte
        return word.decode().strip()

    def go_on(self) -> None:
        os.write(self.descriptors[1], b"\n")

    def finish(self) -> None:
        """Lets it end, which it must do well."""
        with contextlib.suppress(BrokenPipeError):
            self.go_on()
        pid, self.pid = self.pid, 0
        assert os.waitpid(pid, 0)[1] == 0, f"process {pid} failed"

    def kill(self) -> None:
        """SIGKILL, and reaps it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.pid = 0

    def __enter__(self) -> "Forked":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.pid:
            self.kill()
        for fd in self.descriptors:
            os.close(fd)


def write_for_ever(table: _core.Table, key: str) -> NoReturn:
    """Half of its time it holds the key's lock."""
    while True:
        table.set(key, "x" * 50)


def stop_as_holder(table: _core.Table, pid: int, key: str) -> None:
    """Stops our child `pid`, which writes the key for ever, at a moment when it holds its lock.

    Asks through a handle of its own: who has waited for a stopped process does not wait again.
    """
    held = False

    def stop_and_ask() -> bool:
        nonlocal held
        os.kill(pid, signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
        try:
            asking.set(key, "free")
        except TableBusy:
            held = True
        else:
            os.kill(pid, signal.SIGCONT)
        return held

    with attach(table.name) as asking:
        asking.set(key, "free")  # takes memory, so that later calls need that one lock
        asking.set_lock_timeout(10)
        wait_until(stop_and_ask, f"process {pid} to be stopped while it holds a lock")


def participants(table: _core.Table) -> dict[int, bool]:
    """By pid, whether it lives."""
    return {each["pid"]: each["alive"] for each in table.participants()}


def counts(table: _core.Table, pid: int) -> dict[str, int]:
    """What this participant has counted."""
    [mine] = [each["counts"] for each in table.participants() if each["pid"] == pid]
    return mine
