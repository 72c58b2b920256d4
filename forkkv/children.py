"""The master's children: forked, reaped, asked to leave, killed; and a child's first steps."""

import contextlib
import faulthandler
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NoReturn

from forkkv.log import get_log

EXIT_LEFT: Final = 0  # asked to, or orphaned
EXIT_FAILED: Final = 1  # the log has the traceback

# A terminal sends some of these to the whole group; what they mean is the master's to decide.
FOR_THE_MASTER: Final = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGTTIN,
    signal.SIGTTOU,
)


@dataclass
class Child:
    """One process that the master has forked."""

    pid: int
    role: str
    index: int
    started: float = field(default_factory=time.monotonic)
    leave_by: float = math.inf  # monotonic; finite once it was asked to leave
    killed: bool = False

    @property
    def asked(self) -> bool:
        """Whether it was asked to leave."""
        return self.leave_by < math.inf

    def __str__(self) -> str:
        return f"worker {self.index}" if self.role == "worker" else self.role


@dataclass(frozen=True)
class Death:
    """How a child ended: by a signal, or with an exit code."""

    child: Child
    lived_seconds: float
    status: int  # as waitpid gives it

    @property
    def expected(self) -> bool:
        return self.child.asked

    def __str__(self) -> str:
        code = os.waitstatus_to_exitcode(self.status)
        if code >= 0:
            return f"{self.child}, pid {self.child.pid}, exited with code {code}"
        return f"{self.child}, pid {self.child.pid}, was killed by {signal.Signals(-code).name}"


class Children:
    """Every method runs in the master."""

    def __init__(self) -> None:
        self.by_pid: dict[int, Child] = {}

    def fork(self, role: str, index: int, body: Callable[[], int]) -> Child:
        """Runs in the master; the child runs `body` and never returns from here.

        Raises OSError when the system has no room for another process.
        """
        pid = os.fork()
        if pid == 0:
            run_in_child(role, index, body)
        child = Child(pid, role, index)
        self.by_pid[pid] = child
        return child

    def reap(self) -> list[Death]:
        """The children that have died since the last call."""
        deaths = []
        for pid in list(self.by_pid):
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped:
                child = self.by_pid.pop(pid)
                deaths.append(Death(child, time.monotonic() - child.started, status))
        return deaths

    def ask_to_leave(self, child: Child, grace_seconds: float) -> None:
        """Sends TERM; past the grace kill_late() kills it."""
        if not child.asked:
            child.leave_by = time.monotonic() + grace_seconds
            os.kill(child.pid, signal.SIGTERM)

    def kill(self, child: Child) -> None:
        """At once, whatever it is doing. Not yet reaped, so the pid is certainly its own."""
        child.killed = True
        os.kill(child.pid, signal.SIGKILL)

    def kill_late(self) -> list[Child]:
        """Kills those whose grace is over, and returns them."""
        now = time.monotonic()
        late = [child for child in self if child.leave_by < now and not child.killed]
        for child in late:
            self.kill(child)
        return late

    def end(self) -> None:
        """Kills and reaps whoever is left: nobody is, unless the master failed."""
        for child in self:
            self.kill(child)
            os.waitpid(child.pid, 0)
            del self.by_pid[child.pid]

    def staying(self, role: str) -> dict[int, Child]:
        """Those that were not asked to leave, by index."""
        return {c.index: c for c in self if c.role == role and not c.asked}

    def __iter__(self) -> Iterator[Child]:
        return iter(list(self.by_pid.values()))

    def __len__(self) -> int:
        return len(self.by_pid)


def run_in_child(role: str, index: int, body: Callable[[], int]) -> NoReturn:
    """Runs in the child: fresh signals, the body, and out without any of the master's cleanup."""
    code = EXIT_FAILED
    try:
        _forget_signals()
        code = body()
    except SystemExit:  # it was told to leave before it could begin
        code = EXIT_LEFT
    except BaseException:
        get_log(role, index).exception("failed")
    finally:
        os._exit(code)


def _forget_signals() -> None:
    """Runs in the child. TERM stays blocked: one sent already waits until the body is ready."""
    for number in FOR_THE_MASTER:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGTERM})


def show_crashes() -> None:
    """Runs in the master, for all: a crash in C leaves the Python traceback in the log."""
    with contextlib.suppress(OSError, ValueError):
        faulthandler.enable()
