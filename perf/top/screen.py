"""A terminal taken over for a full-screen view, and given back however that ends.

Signals are taken by the loop that waits for keys, through a pipe: none interrupts a drawing.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import tty
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.live import Live

ESCAPE_SECONDS: Final = 0.05  # for the rest of a key's sequence to come
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
TAKEN: Final = (*ENDING, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)
QUIT: Final = "q"
NAMES: Final = {
    "\n": "enter",
    "\r": "enter",
    "\x1b": "escape",
    "\x7f": "backspace",
    "\x08": "backspace",
    **{f"\x1b{lead}A": "up" for lead in "[O"},
    **{f"\x1b{lead}B": "down" for lead in "[O"},
    **{f"\x1b{lead}H": "home" for lead in "[O"},
    **{f"\x1b{lead}F": "end" for lead in "[O"},
    "\x1b[1~": "home",
    "\x1b[4~": "end",
    "\x1b[5~": "pageup",
    "\x1b[6~": "pagedown",
}
PIECES: Final = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
UNFINISHED: Final = re.compile(r"\x1b([\[O][0-9;]*)?\Z")


def key_names(typed: str) -> list[str]:
    """Each key as its letter or its name; a sequence that is not known is no key."""
    pieces = PIECES.findall(typed)
    return [NAMES.get(piece, piece) for piece in pieces if piece in NAMES or len(piece) == 1]


class Screen:
    """While the block lasts. After SIGTERM, SIGHUP or SIGQUIT it ends the process by that signal,
    once the terminal is whole again; Ctrl-C is the key q."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._fd = sys.stdin.fileno()
        self._ended_by: int | None = None
        self._live: Live | None = None

    def __enter__(self) -> Screen:
        self._modes = termios.tcgetattr(self._fd)
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._woken_before = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self._handlers: dict[signal.Signals, Any] = {
            each: signal.signal(each, _noted)
            for each in TAKEN
            if signal.getsignal(each) != signal.SIG_IGN
        }
        try:
            self._take()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._give_back()
        finally:
            signal.set_wakeup_fd(self._woken_before)
            for each, handler in self._handlers.items():
                signal.signal(each, signal.SIG_DFL if handler is None else handler)
            os.close(self._wake)
            os.close(self._waker)
        if self._ended_by not in (None, signal.SIGINT):
            signal.raise_signal(self._ended_by)

    def draw(self, view: RenderableType) -> None:
        """Shows `view` instead of what was shown."""
        assert self._live is not None
        self._live.update(view, refresh=True)

    def wait(self, seconds: float | None) -> list[str]:
        """The keys that were pressed; [] after `seconds`, and when the view must be drawn anew."""
        ready, _, _ = select.select([self._fd, self._wake], [], [], seconds)
        if self._wake in ready:
            for number in os.read(self._wake, 64):
                self._signalled(number)
        if self._ended_by is not None:
            return [QUIT]
        return self._keys() if self._fd in ready else []

    def _signalled(self, number: int) -> None:
        if number == signal.SIGTSTP:
            self._give_back()
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTSTP)  # returns when the process goes on
            signal.signal(signal.SIGTSTP, _noted)
            self._take()
        elif number == signal.SIGCONT:  # also after a SIGSTOP, which nobody can prepare for
            self._give_back()
            self._take()
        elif number in ENDING:
            self._ended_by = number

    def _take(self) -> None:
        tty.setcbreak(self._fd, termios.TCSANOW)
        self._live = Live(
            console=self.console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _give_back(self) -> None:
        try:
            if self._live is not None:
                self._live.stop()
        finally:
            self._live = None
            with suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._modes)

    def _keys(self) -> list[str]:
        typed = self._read()
        while typed and UNFINISHED.search(typed):
            if not select.select([self._fd], [], [], ESCAPE_SECONDS)[0]:
                break
            typed += (more := self._read())
            if not more:
                break
        return key_names(typed) if typed else [QUIT]

    def _read(self) -> str:
        """What was typed; nothing when the terminal is gone."""
        try:
            return os.read(self._fd, 1024).decode(errors="ignore")
        except OSError:
            return ""


def _noted(number: int, frame: FrameType | None) -> None:
    """Python writes the number into the pipe; a handler must be there for that."""
