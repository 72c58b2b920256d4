"""CPU and memory of a process."""

import os
import subprocess

from forkkv.usage import read_usage


def test_this_process_uses_something() -> None:
    usage = read_usage(os.getpid())
    assert usage is not None
    assert usage.cpu_seconds > 0
    assert usage.rss_bytes > usage.private_bytes > 0


def test_a_process_that_is_gone_uses_nothing_that_is_known() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert read_usage(gone.pid) is None
