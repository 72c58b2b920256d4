"""Finds out whether perf can count here, and if not, why and how to allow it (for collect.sh)."""

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from forkkv.perf import events

PERF_MISSING: Final = 5  # collect.sh's exit codes
PERF_NOT_PERMITTED: Final = 6
PARANOID: Final = Path("/proc/sys/kernel/perf_event_paranoid")
PROBED: Final = "syscalls:sys_enter_close"  # a call that every kernel has
NO_PROCESS: Final = 2**22 + 1  # above the largest pid that Linux gives
NO_SUCH_CALL: Final = re.compile(r"sys_(?:enter|exit)_(\w+) not found")


@dataclass(frozen=True)
class Refusal:
    """Why perf cannot count here, what to do about it, and collect.sh's exit code for it."""

    code: int
    problem: str
    remedy: str


@dataclass(frozen=True)
class Found:
    """What perf can do here."""

    version: str
    aligned: bool  # knows --control, so that all counters can start and stop together
    missing: frozenset[str]  # system calls that this kernel does not have


def run(command: list[str]) -> tuple[int, str]:
    """Exit code and output, with errors, of a perf command."""
    done = subprocess.run(
        command,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout


def probe(pid: int) -> Found | Refusal:
    """Counts process `pid` for a moment; asks which calls this kernel lacks, and for --control."""
    if shutil.which("perf") is None:
        return refusal(127, "")
    status, output = run(["perf", "stat", "-x;", "-e", PROBED, "-p", str(pid), "--", "true"])
    if f";{PROBED};" not in output:
        return refusal(status, output)
    version = run(["perf", "--version"])[1].strip().removeprefix("perf version ")
    return Found(version, "--control" in run(["perf", "stat", "-h"])[1], absent_calls())


def absent_calls() -> frozenset[str]:
    """The calls that this kernel does not have; naming one of them would make perf refuse them all.

    perf reads the names before it looks for the process: with a pid that cannot exist it opens
    nothing, which matters because closing forty tracepoints takes a second and a half.
    """
    absent: set[str] = set()
    while True:
        wanted = events.arguments(frozenset(absent))
        output = run(["perf", "stat", "-x;", *wanted, "-p", str(NO_PROCESS)])[1]
        more = set(NO_SUCH_CALL.findall(output)) - absent
        if not more:
            return frozenset(absent)
        absent |= more


@dataclass(frozen=True)
class Symptom:
    """A pattern in what perf printed, and what it means. {0} is filled in by `refusal`."""

    pattern: str
    code: int
    problem: str
    remedy: str


SYMPTOMS: Final = (
    Symptom(
        r"^exit 127",
        PERF_MISSING,
        "perf is not installed",
        "install the package linux-perf (Debian), linux-tools-generic (Ubuntu) or perf (Fedora)",
    ),
    Symptom(
        r"not found for kernel|linux-tools-",
        PERF_MISSING,
        "the perf that is installed is not for this kernel ({kernel})",
        "install the package linux-tools-{kernel}, or linux-perf (Debian)",
    ),
    Symptom(
        r"No permissions to read|can't access trace events",
        PERF_NOT_PERMITTED,
        "the tracepoints below /sys/kernel/tracing are not readable",
        "run as root; or sudo setcap cap_perfmon,cap_dac_read_search=ep {perf}; "
        "or sudo mount -o remount,mode=755 /sys/kernel/tracing",
    ),
    Symptom(
        r"debugfs/tracefs",
        PERF_NOT_PERMITTED,
        "tracefs is not mounted",
        "sudo mount -t tracefs nodev /sys/kernel/tracing",
    ),
    Symptom(
        r"sys_enter_\w+ not found|unknown tracepoint",
        PERF_MISSING,
        "this kernel has no tracepoints for system calls",
        "use a kernel that is built with CONFIG_FTRACE_SYSCALLS=y",
    ),
    # A row sys_enter_closeu: perf left the kernel's side out, so all that it counts is zero.
    Symptom(
        r"is limited|[Pp]ermission|not permitted|sys_enter_\w+u;",
        PERF_NOT_PERMITTED,
        "perf may not count other processes here (perf_event_paranoid is {paranoid})",
        "run as root; or sudo setcap cap_perfmon,cap_dac_read_search=ep {perf}; "
        "or sudo sysctl kernel.perf_event_paranoid=-1",
    ),
    Symptom(
        r"Problems finding threads",
        PERF_NOT_PERMITTED,
        "the process that was probed had ended",
        "see forkkv stats for what runs, then collect again",
    ),
    Symptom(
        r"",
        PERF_MISSING,
        "perf failed with {exit}: {line}",
        "try perf stat -e syscalls:sys_enter_close -- true",
    ),
)


def refusal(status: int, output: str) -> Refusal:
    """Turns perf's exit code and text into a sentence with the remedy."""
    text = f"exit {status}\n{output}"
    symptom = next(s for s in SYMPTOMS if re.search(s.pattern, text))
    facts = {
        "exit": f"exit code {status}",
        "line": next((line.strip() for line in output.splitlines() if line.strip()), "no output"),
        "kernel": platform.release(),
        "paranoid": PARANOID.read_text().strip() if PARANOID.exists() else "unknown",
        "perf": os.path.realpath(shutil.which("perf") or "perf"),
    }
    return Refusal(symptom.code, symptom.problem.format(**facts), symptom.remedy.format(**facts))
