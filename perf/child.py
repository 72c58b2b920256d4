"""The programs that a collection starts: each out of reach of Ctrl-C, and ended with SIGINT."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from forkkv.perf.observe import read_usage

ENDS_WITHIN: Final = 5.0  # seconds that a program has after SIGINT, before it is killed
TURN: Final = 0.02  # seconds between two looks


class Child:
    """A program in a process group of its own, so that Ctrl-C on the terminal reaches us alone."""

    def __init__(self, words: Sequence[str], output: Path, **more: str) -> None:
        """Starts it under the locale C, with `more` in its environment. It prints into `output`."""
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "LC_ALL": "C", **more},
                process_group=0,
                restore_signals=True,
            )
        self.output = output

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    @property
    def asleep(self) -> bool:
        """Whether it waits for something now."""
        used = read_usage(self.process.pid)
        return used is not None and used["state"] == "S"

    @property
    def said(self) -> str:
        """What it has printed until now."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def interrupt(self) -> None:
        """SIGINT to all of its group: the only signal after which perf and strace still write."""
        self._send(signal.SIGINT)

    def end(self) -> int:
        """Ends it, with force if it must be; returns its exit code as a shell has it."""
        if self.running:
            self.interrupt()
        deadline = time.monotonic() + ENDS_WITHIN
        while self.running and time.monotonic() < deadline:
            time.sleep(TURN)
        self._send(signal.SIGKILL)
        status = self.process.wait()
        return status if status >= 0 else 128 - status

    def _send(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return
