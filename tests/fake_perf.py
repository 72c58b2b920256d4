"""A perf that does what the test says: FAKE_PERF names a failure, or how it counts."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

FAILURES = {  # name: (exit code, what perf prints)
    "tracefs": (
        129,
        "event syntax error: 'syscalls:sys_enter_close'\n"
        "                     \\___ can't access trace events\n\n"
        "Error:\tNo permissions to read /sys/kernel/tracing/events/syscalls/sys_enter_close\n"
        "Hint:\tTry 'sudo mount -o remount,mode=755 /sys/kernel/tracing/'\n",
    ),
    "unmounted": (
        129,
        "event syntax error: 'syscalls:sys_enter_close'\n"
        "                     \\___ unknown tracepoint\n\n"
        "Error:\tUnable to find debugfs/tracefs\n"
        "Hint:\tIs the debugfs/tracefs filesystem mounted?\n",
    ),
    "untraceable": (
        129,
        "event syntax error: 'syscalls:sys_enter_close'\n"
        "                     \\___ unknown tracepoint\n\n"
        "Error:\tFile /sys/kernel/tracing/events/syscalls/sys_enter_close not found.\n",
    ),
    "paranoid": (
        255,
        "Error:\nAccess to performance monitoring and observability operations is limited.\n"
        "perf_event_paranoid setting is 2:\n",
    ),
    "kernel-left-out": (0, "0;;syscalls:sys_enter_closeu;34602;100.00;;\n"),
    "wrapper": (2, "WARNING: perf not found for kernel 5.15.0-91\n\n  linux-tools-5.15.0-91\n"),
    "gone": (234, "Problems finding threads of monitor\n\n Usage: perf stat\n"),
    "crash": (139, "Segmentation fault\n"),
}


def fail(code: int, text: str) -> NoReturn:
    sys.stderr.write(text)
    sys.exit(code)


def after(option: str) -> str:
    return sys.argv[sys.argv.index(option) + 1]


def events() -> list[str]:
    lists = [sys.argv[i + 1] for i, word in enumerate(sys.argv) if word == "-e"]
    return [event for each in lists for event in each.split(",")]


def refuse_unknown(mode: str) -> None:
    if mode == "no-accept" and "syscalls:sys_enter_accept" in events():
        fail(
            129,
            "event syntax error: '..s:sys_enter_accept,syscalls:sys_enter_accept4'\n"
            "                     \\___ unknown tracepoint\n\n"
            "Error:\tFile /sys/kernel/tracing/events/syscalls/sys_enter_accept not found.\n",
        )


def leave(number: int, frame: FrameType | None) -> NoReturn:
    write_rows()
    sys.exit(130)


def count(mode: str) -> NoReturn:
    """Stays until SIGINT, then writes a row of 7 for each event."""
    signal.signal(signal.SIGINT, leave)
    if mode in ("stubborn", "leaves"):
        write_rows()  # of an interval that is over
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if "--control" in sys.argv:
        print("Events disabled", file=sys.stderr, flush=True)
    if "--control" in sys.argv and mode != "mute":
        control, acknowledge = after("--control").removeprefix("fifo:").split(",")
        with open(control) as orders, open(acknowledge, "w") as answers:  # noqa: PTH123
            for _ in ("enable", "disable"):
                orders.readline()
                answers.write("ack\n\0")
                answers.flush()
    if mode == "leaves":  # as perf does whose process has ended meanwhile
        sys.exit(0)
    while True:
        signal.pause()


def write_rows() -> None:
    time = "     0.100123456;" if "-I" in sys.argv else ""
    rows = [f"{time}7;;{event};1000;100.00;;\n" for event in events()]
    Path(after("-o")).write_text("# started on Sun Nov 22 16:16:24 2026\n\n" + "".join(rows))


def main(mode: str) -> int:
    if sys.argv[1:] == ["--version"]:
        print("perf version 6.1.fake")
        return 0
    if sys.argv[1:] == ["stat", "-h"]:
        print("    -o, --output" if mode == "old" else "        --control <fifo:ctl>")
        return 0
    if "--" in sys.argv:
        if mode in FAILURES:
            fail(*FAILURES[mode])
        print("0;;syscalls:sys_enter_close;34602;100.00;;", file=sys.stderr)
        return 0
    refuse_unknown(mode)
    if "-o" not in sys.argv or (mode == "one-dead" and after("-p") == os.environ["DEAD_PID"]):
        fail(*FAILURES["gone"])
    count(mode)


if __name__ == "__main__":
    sys.exit(main(os.environ.get("FAKE_PERF", "")))
