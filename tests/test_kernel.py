"""What the kernel counted: exact for reads and writes, whatever the descriptor."""

import os
from pathlib import Path

import pytest

from forkkv.clients.kernel import KernelCalls


def test_reads_and_writes_are_counted_to_the_call() -> None:
    read_end, write_end = os.pipe()
    try:
        calls = KernelCalls()
        for _ in range(23):
            os.write(write_end, b"x")
        for _ in range(7):
            os.read(read_end, 1)
        assert calls.since() == {"write": 23, "read": 7}
    finally:
        os.close(read_end)
        os.close(write_end)


def test_a_kernel_that_does_not_tell_gives_no_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("forkkv.clients.kernel.SOURCE", tmp_path / "absent")
    assert KernelCalls().since() == {}
