"""When each step of a workload starts: at once, or on a schedule fixed beforehand.

On a schedule, a step that is late counts from when it should have started: a server that stalls
cannot hide the operations that it held up (coordinated omission).
"""

from __future__ import annotations

import time

clock_ns = time.perf_counter_ns


class Pace:
    """`rate` operations a second, or None for no schedule; over after `seconds`, or None."""

    def __init__(self, rate: float | None = None, seconds: float | None = None) -> None:
        self.rate = rate
        self.seconds = seconds
        self._began_ns = clock_ns()
        self._end_ns = None if seconds is None else self._began_ns + int(seconds * 1e9)

    def start(self, sent: int) -> int | None:
        """Wait for the turn of the next operation, when `sent` went before it.

        Returns the time on clock_ns() from which its latency counts, None when time is over.
        """
        now = clock_ns()
        due = now if self.rate is None else self._began_ns + int(sent * 1e9 / self.rate)
        if self._end_ns is not None and max(now, due) >= self._end_ns:
            return None
        if due <= now:
            return due
        time.sleep((due - now) / 1e9)
        return clock_ns()  # waking late is the fault of this machine's timer, not of the server

    def unsent(self, sent: int) -> int:
        """Return how many operations are due by now, within `seconds`, beyond the `sent` ones."""
        if self.rate is None or self.seconds is None:
            return 0
        due_seconds = min(self.seconds, self.elapsed_ns() / 1e9)
        return max(0, int(self.rate * due_seconds) - sent)

    def elapsed_ns(self) -> int:
        """Return the time since the pace was made."""
        return clock_ns() - self._began_ns
