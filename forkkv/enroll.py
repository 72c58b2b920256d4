"""How a worker and the keeper become participants of the table, however long that takes.

All entries may be taken, or a stopped process may hold what is needed. Either passes; a process
that died of it would be started again, and after some such deaths the server would give up.
"""

import os
import signal
import time

from forkkv._core import KEEPER, Error, Table
from forkkv.log import get_log

AGAIN_SECONDS = 0.1


def enroll(table: Table, role: int, index: int, master_pid: int) -> None:
    """Runs in the worker or keeper. SystemExit: told to leave meanwhile, or the master is gone.

    No sign of life is possible before: the master kills who waits for longer than --stall, starts
    another, and by its age does not take that for a failed start.
    """
    warned = False
    while True:
        try:
            return table.enroll(role, index)
        except Error as error:
            if not warned:
                log = get_log("keeper" if role == KEEPER else "worker", index)
                log.warning("cannot begin yet: %s", error)
            warned = True
        time.sleep(AGAIN_SECONDS)
        if signal.SIGTERM in signal.sigpending() or os.getppid() != master_pid:
            raise SystemExit
