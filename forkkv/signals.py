"""Signals as a queue in the kernel: blocked, and taken one at a time. There are no handlers."""

import signal
from collections.abc import Collection

TIMEOUT = signal.SIGALRM


def block_signals(numbers: Collection[signal.Signals]) -> None:
    """From now on they wait until they are taken. A fork hands the blocking on, not the queue."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {*numbers, TIMEOUT})


def take_signal(numbers: Collection[signal.Signals], seconds: float) -> signal.Signals | None:
    """The next one of `numbers`, or None when none has come within `seconds` (above 0).

    May return None early. The timeout is a signal too, for sigtimedwait() will not do: when the
    process is stopped meanwhile and goes on after the timeout, CPython returns a made-up signal.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)
    taken = signal.Signals(signal.sigwait({*numbers, TIMEOUT}))
    return None if taken == TIMEOUT else taken
