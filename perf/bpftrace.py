"""Counting by bpftrace: one program in the kernel counts every process, from its first call on.

The edges of the window are marks: harmless calls of this process (getpriority for a target that
cannot exist) which the program in the kernel watches for, so that the counts start and stop with
one instruction for all. At each mark it prints its counts so far:

    mark 2
    @calls[4711, tracepoint:syscalls:sys_enter_read]: 100
    @failed[4711, tracepoint:syscalls:sys_exit_read]: 3
    @total[4711]: 345
    done 2
"""

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from forkkv.perf import events
from forkkv.perf.child import Child
from forkkv.perf.targets import Target

FILE: Final = "counts.bpftrace"
KEYS: Final = "65536"  # counters that it has room for
ROOM: Final = {"BPFTRACE_MAP_KEYS_MAX": KEYS, "BPFTRACE_MAX_MAP_KEYS": KEYS}  # old name and new
STARTS_WITHIN: Final = 20.0  # seconds; it compiles its program first
WHO: Final = 271_828_000  # no process has this pid: Linux gives none above 4,194,304
OPEN, TICK, CLOSE = 1, 2, 3
ROW: Final = re.compile(r"^@(calls|failed|total)\[(\d+)(?:, tracepoint:(\S+))?\]: (\d+)$")
PRINT: Final = "print(@calls); print(@failed); print(@total);"
TRIAL: Final = "tracepoint:raw_syscalls:sys_enter { exit(); }"
INITIAL_NAMESPACE: Final = "pid:[4026531836]"

PROGRAM: Final = """
tracepoint:syscalls:sys_enter_getpriority /pid == {me} && args->who == {open}/ {{
    @on = 1; printf("done 1\\n");
}}
tracepoint:syscalls:sys_enter_getpriority /pid == {me} && args->who == {tick}/ {{
    printf("mark 2\\n"); {show} printf("done 2\\n");
}}
tracepoint:syscalls:sys_enter_getpriority /pid == {me} && args->who == {close}/ {{
    @on = 0; printf("mark 3\\n"); {show} printf("done 3\\n");
}}
tracepoint:raw_syscalls:sys_enter /@on == 1/ {{ @total[pid] = count(); }}
{entered} /@on == 1/ {{ @calls[pid, probe] = count(); }}
{left} /@on == 1 && args->ret < 0/ {{ @failed[pid, probe] = count(); }}
END {{ clear(@on); clear(@calls); clear(@failed); clear(@total); }}
"""


def probe() -> tuple[frozenset[str], str]:
    """The calls that the kernel has no tracepoint for, and why it cannot count ("": it can)."""
    if shutil.which("bpftrace") is None:
        return frozenset(), "bpftrace is not installed"
    if str(Path("/proc/self/ns/pid").readlink()) != INITIAL_NAMESPACE:
        return frozenset(), "bpftrace has the pids of the host, and this is a container"
    listed = _ask("-l", "tracepoint:syscalls:sys_e*")
    known = set(re.findall(r"tracepoint:syscalls:sys_enter_(\w+)", listed.stdout))
    # To list them takes no right to load a program, and its first warning is not always the reason.
    tried = _ask("-q", "-e", TRIAL) if "close" in known else listed
    if tried.returncode or "close" not in known:
        said = tried.stderr.strip().splitlines() or ["it lists no tracepoints of system calls"]
        why = next((line for line in said if "permitted" in line or "root" in line), said[-1])
        return frozenset(), f"it says: {why.removeprefix('ERROR: ')}"
    return frozenset(events.CALLS) - known, ""


def _ask(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bpftrace", *words], capture_output=True, text=True, check=False)


class Bpftrace:
    """The bpftrace of one collection."""

    name = "bpftrace"
    from_birth = True

    def __init__(self, out: Path, scratch: Path, missing: frozenset[str], interval: float) -> None:
        """`missing`: calls that this kernel lacks. `interval`: seconds, 0 for no time line."""
        self.out, self.scratch = out, scratch
        self.missing, self.interval = missing, interval
        self.child: Child | None = None
        self.exits: dict[str, int] = {}
        self.ended_at: dict[str, float] = {}
        self.clients: dict[str, Child] = {}
        self.pids: dict[str, int] = {}

    def attach(self, targets: Iterable[Target]) -> None:
        """Loads the program, which counts everybody once it is enabled."""
        self.pids |= {target.label: target.pid for target in targets if target.pid is not None}
        if self.child is None:
            words = ["bpftrace", "-q", "-e", program(os.getpid(), self.missing)]
            self.child = Child(words, self.out / FILE, **ROOM)

    def ready(self, label: str) -> bool:
        """It counts everybody."""
        return True

    def start_client(self, label: str, words: Sequence[str]) -> Child:
        """Starts a client. Processes that it starts are not added to its row."""
        child = Child(words, self.out / f"{label}.log")
        self.clients[label], self.pids[label] = child, child.process.pid
        return child

    def enable(self, labels: Iterable[str]) -> None:
        """Opens the window; one that was opened stays open."""
        if self.child is not None and "done 1" not in self.child.said:
            self._mark(OPEN, again=True)

    def tick(self) -> None:
        """Prints the counts so far."""
        if self.interval:
            self._mark(TICK)

    def disable(self) -> None:
        """Closes the window."""
        self._mark(CLOSE)

    def finish(self) -> None:
        """Ends bpftrace, and the clients."""
        for label, client in self.clients.items():
            self.exits.setdefault(label, client.end())
        if self.child is not None:
            status = self.child.end()
            self.exits |= {label: status for label in self.pids if label not in self.exits}

    def said(self, label: str) -> str:
        """What bpftrace printed beside its counts."""
        lines = self.child.said.splitlines() if self.child is not None else []
        return "\n".join(line for line in lines if line.startswith(("ERROR", "WARNING")))

    def files(self) -> dict[str, Path]:
        """One file has the counts of all."""
        return dict.fromkeys(self.pids, self.out / FILE)

    def _mark(self, number: int, again: bool = False) -> None:
        """Makes the call that the program watches for, and waits for what it prints then."""
        child, deadline = self.child, time.monotonic() + STARTS_WITHIN
        assert child is not None
        wanted = child.said.count(f"done {number}") + 1
        called = False
        while child.running and time.monotonic() < deadline:
            if again or not called:
                with contextlib.suppress(OSError):
                    os.getpriority(os.PRIO_PROCESS, WHO + number)
                called = True
            if child.said.count(f"done {number}") >= wanted:
                return
            time.sleep(0.01)


def program(me: int, missing: frozenset[str]) -> str:
    """The bpftrace program; `me` is the process that makes the marks."""
    entered = [f"tracepoint:syscalls:sys_enter_{c}" for c in events.CALLS if c not in missing]
    left = [f"tracepoint:syscalls:sys_exit_{c}" for c in events.FAILING if c not in missing]
    return PROGRAM.format(
        me=me, open=WHO + OPEN, tick=WHO + TICK, close=WHO + CLOSE, show=PRINT,
        entered=",\n".join(entered), left=",\n".join(left),
    )  # fmt: skip


def blocks(text: str) -> list[dict[int, dict[str, int]]]:
    """The counts at each mark: by pid, by perf's name of the event."""
    found: list[dict[int, dict[str, int]]] = []
    for line in text.splitlines():
        if line.startswith("mark "):
            found.append({})
        elif found and (row := ROW.match(line)):
            event = events.TOTAL if row[1] == "total" else row[3]
            found[-1].setdefault(int(row[2]), {})[event] = int(row[4])
    return found
