"""The keeper: does ahead of need what clients would otherwise wait for.

It removes expired keys, frees segments before writers run short, gives memory back to the kernel
when the table has shrunk, and repairs what dead processes left, attached ones too, whose death the
master is not told of.
"""

import os
import signal
import time

from forkkv._core import KEEPER, Table, TableRetired
from forkkv.children import EXIT_LEFT
from forkkv.enroll import enroll
from forkkv.quiet import Quiet
from forkkv.signals import block_signals, take_signal

PAUSE_MIN = 0.002  # seconds, while there is work
PAUSE_MAX = 0.25
SWEEP_PAGES = 64  # of the index, between two looks at everything else: some milliseconds
REPAIR_SECONDS = 0.5
SHRINK_SECONDS = 0.05


class Keeper:
    """Runs in the keeper process."""

    def __init__(self, table: Table, master_pid: int) -> None:
        self.table = table
        self.master_pid = master_pid
        enroll(table, KEEPER, 0, master_pid)
        self.next_repair = 0.0
        self.quiet = Quiet(table)

    def run(self) -> int:
        """Returns the exit code, after TERM or the death of the master."""
        block_signals([signal.SIGTERM])
        self.table.set_state("keeping")
        pause = PAUSE_MAX
        while os.getppid() == self.master_pid:
            try:
                pause = PAUSE_MIN if self.work() else min(pause * 2, PAUSE_MAX)
            except TableRetired:
                break  # the master sees it as well, and stops the server
            if take_signal([signal.SIGTERM], pause):
                break
        self.table.close()
        return EXIT_LEFT

    def work(self) -> bool:
        """One small piece of everything; whether there was anything to do."""
        self.table.heartbeat()
        _, worked = self.table.sweep(SWEEP_PAGES)  # all that is due, unless that is more
        worked |= self.table.reclaim_ahead()
        now = time.monotonic()
        if now >= self.next_repair:
            self.next_repair = now + REPAIR_SECONDS
            worked |= self.table.repair() > 0
        if self.quiet.is_due(now) or self.table.purge_wanted():
            worked |= self.shrink(now + SHRINK_SECONDS)
        return worked

    def shrink(self, end: float) -> bool:
        """Gives memory back, for a moment. What moves for it is not what others write."""
        worked = False
        while self.table.shrink() and time.monotonic() < end:
            worked = True
        self.quiet.restart()
        return worked
