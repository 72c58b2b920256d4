"""A terminal of 80 x 24 with one program in it, as a person would use it."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

from conftest import DEADLINE

ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\([A-Z])")


class Terminal:
    """The program has it as its controlling terminal, so keys such as Ctrl-C are signals."""

    def __init__(self, *command: str) -> None:
        self._end, self._slave = pty.openpty()
        self.resize(80, 24)
        self.modes = self.read_modes()
        self.raw = ""
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        self.program = subprocess.Popen(
            command,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=environment | {"TERM": "xterm-256color", "PS1": "prompt> "},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))

    def read_modes(self) -> list[object]:
        """All that termios knows of the terminal."""
        return termios.tcgetattr(self._slave)

    def press(self, keys: str) -> None:
        """Types the keys; what `wait_for` looks at begins here."""
        self._collect(0)
        self.raw = ""
        os.write(self._end, keys.encode())

    def wait_for(self, text: str) -> str:
        """What was written since the last key, without its escapes, once it has `text`."""
        end = time.monotonic() + DEADLINE
        while text not in self.text:
            assert time.monotonic() < end, f"{text!r} did not come: {self.text!r}"
            self._collect(0.05)
        return self.text

    def wait_end(self) -> int:
        """The exit code of the program."""
        code = self.program.wait(DEADLINE)
        self._collect(0)
        return code

    @property
    def text(self) -> str:
        return ESCAPES.sub("", self.raw)

    def _collect(self, seconds: float) -> None:
        while select.select([self._end], [], [], seconds)[0]:
            self.raw += os.read(self._end, 1 << 16).decode(errors="replace")
            seconds = 0

    def close(self) -> None:
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait(DEADLINE)
        os.close(self._end)
        os.close(self._slave)


def forkkv(*words: str) -> list[str]:
    """The command line of forkkv."""
    return [sys.executable, "-m", "forkkv", *words]
