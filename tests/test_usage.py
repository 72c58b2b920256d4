"""CPU and memory of a process, and whether it is stopped."""

import os
import signal
import subprocess

from conftest import wait_until

from forkkv.usage import read_start_ticks, read_usage


def test_this_process_uses_something() -> None:
    usage = read_usage(os.getpid(), read_start_ticks(os.getpid()))
    assert usage is not None
    assert usage.cpu_seconds > 0
    assert usage.rss_bytes > usage.private_bytes > 0
    assert not usage.stopped


def test_a_process_that_is_gone_uses_nothing_that_is_known() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert read_usage(gone.pid, 1) is None


def test_another_process_with_the_same_pid_is_not_described() -> None:
    assert read_usage(os.getpid(), read_start_ticks(os.getpid()) - 1) is None


def test_a_stopped_process_is_told_from_one_that_sleeps() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        ticks = read_start_ticks(process.pid)

        def stopped() -> bool:
            usage = read_usage(process.pid, ticks)
            return usage is not None and usage.stopped

        assert not stopped()
        process.send_signal(signal.SIGSTOP)
        wait_until(stopped, "it to stop")
        process.kill()
