"""The prompt's history: lines typed before, kept in a file of the person's own."""

from __future__ import annotations

import os
import readline
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HISTORY_LINES = 1000


def history_path() -> Path:
    """Return the history file: $XDG_STATE_HOME/forkkv/history, by default in ~/.local/state."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "forkkv" / "history"


@contextmanager
def kept_history() -> Iterator[None]:
    """Load the history, and save it when the block ends; without a file it is not kept."""
    path = history_path()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        readline.read_history_file(path)
    except OSError as error:
        print(f"note: the history is not kept: {error}", file=sys.stderr)
        yield
        return
    readline.set_history_length(HISTORY_LINES)
    try:
        yield
    finally:
        readline.write_history_file(path)
