"""Who accepts the next connection: the policy that spreads connections evenly over the workers.

All workers watch one listener, and the kernel wakes the one that has watched longest. A worker
goes to the end of that queue after each accept. One that holds more than its share steps back from
the listener and looks again a little later: it stays away while another one with fewer connections
watches, and comes back otherwise.

So no connection is left waiting. The worker with the fewest connections is never above its share,
hence never steps back; while it has not yet noticed that it has the fewest, those above their
share accept one connection per millisecond. A stopped worker looks like one that watches, but its
heartbeat is old, so it does not count.
"""

import errno
import os
import time
from collections.abc import Sequence

from forkkv._core import Server, Table

SERVING = "serving"
YIELDING = "yielding"  # has stepped back from the listener; serves its connections as before
TOO_MANY = b"-ERR max number of clients reached\r\n"

TICK_MS = 1000
LOOK_AGAIN_MS = (1, 100)  # first and longest pause of a worker that has stepped back
STALE_NS = 2_000_000_000  # two ticks
SLACK = 1  # connections above the mean that are fair, at least
SHORTAGE_MS = 100
OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Load = tuple[int, int, int, int, str]  # index, pid, connections, heartbeat_ns, state


def present(loads: Sequence[Load], own_pid: int, now_ns: int) -> list[Load]:
    """The other workers that run and take part."""
    return [
        load
        for load in loads
        if load[1] != own_pid and now_ns - load[3] < STALE_NS and load[4] in (SERVING, YIELDING)
    ]


def above_share(own: int, others: Sequence[Load]) -> bool:
    """Whether `own` connections are more than a fair part."""
    mean = (own + sum(load[2] for load in others)) / (len(others) + 1)
    return own > mean + max(SLACK, mean / 8)


def left_to_others(own: int, others: Sequence[Load]) -> bool:
    """Whether somebody watches who has fewer connections."""
    return any(load[4] == SERVING and load[2] < own for load in others)


class Accept:
    """Runs in a worker: its part in the policy, and the accepting itself."""

    def __init__(
        self, server: Server, table: Table, listeners: Sequence[int], maxclients: int
    ) -> None:
        self.server = server
        self.table = table
        self.listeners = listeners
        self.maxclients = maxclients
        self.pid = os.getpid()  # asked once: it is a system call
        self.watching = False
        self.pause_ms = LOOK_AGAIN_MS[0]
        self.look_at_ns = 0
        self.seen_total = 0
        self.spare = _spare_descriptor()  # given up for a moment when descriptors run out

    @property
    def timeout_ms(self) -> int:
        """How long the next tick may wait."""
        return TICK_MS if self.watching else self.pause_ms

    def watch(self) -> None:
        """Comes to the listeners, at the end of the queue. One that is ready is noticed at once."""
        for fd in self.listeners:
            self.server.listen(fd)
        self.table.set_state(SERVING)
        self.watching = True
        self._look_in(TICK_MS)

    def leave(self) -> None:
        """Leaves the listeners, for good or for a while."""
        if self.watching:
            for fd in self.listeners:
                self.server.unlisten(fd)
        self.watching = False

    def accept(self, fd: int) -> int | None:
        """Accepts one connection, so that a burst spreads; refuses one above the limit.

        Returns its number, or None when there is nothing to serve.
        """
        try:
            if self._total() >= self.maxclients:
                self.server.reject(fd, TOO_MANY)
                return None
            accepted = self.server.accept(fd)
        except OSError as error:
            if error.errno not in OUT_OF_DESCRIPTORS:
                raise
            self._refuse_for_want_of_descriptors(fd)
            return None
        if accepted is None:
            return None
        self._make_way()
        return accepted[0]

    def look(self, now_ns: int) -> None:
        """After each tick, when it is time: is this worker needed at the listeners?"""
        if now_ns < self.look_at_ns:
            return
        if self.watching:
            self._look_in(TICK_MS)
            if self._somebody_is_stuck():
                self._requeue()
            return
        others, own = self._others(), self.server.connections
        total = own + sum(load[2] for load in others)
        if not (above_share(own, others) and left_to_others(own, others)):
            self.watch()
        elif total != self.seen_total:
            self._pause(LOOK_AGAIN_MS[0])
        else:
            self._pause(min(self.pause_ms * 2, LOOK_AGAIN_MS[1]))
        self.seen_total = total

    def _make_way(self) -> None:
        others = self._others()
        if above_share(self.server.connections, others):
            self.leave()
            self.table.set_state(YIELDING)
            self._pause(LOOK_AGAIN_MS[0])
        elif others:
            self._requeue()

    def _pause(self, pause_ms: int) -> None:
        self.pause_ms = pause_ms
        self._look_in(pause_ms)

    def _look_in(self, milliseconds: int) -> None:
        self.look_at_ns = time.monotonic_ns() + milliseconds * 1_000_000

    def _requeue(self) -> None:
        self.leave()
        self.watch()

    def _somebody_is_stuck(self) -> bool:
        """A worker was woken for a connection, perhaps, and then stopped before it accepted."""
        now = time.monotonic_ns()
        return any(now - load[3] >= STALE_NS for load in self.table.worker_loads())

    def _refuse_for_want_of_descriptors(self, fd: int) -> None:
        """The spare descriptor lets the client be told; without one, the listener rests a while."""
        if self.spare is not None:
            os.close(self.spare)
        try:
            self.server.reject(fd, TOO_MANY)
        except OSError:
            self.leave()
            self._pause(SHORTAGE_MS)
        self.spare = _spare_descriptor()

    def _others(self) -> list[Load]:
        return present(self.table.worker_loads(), self.pid, time.monotonic_ns())

    def _total(self) -> int:
        return sum(load[2] for load in self.table.worker_loads())


def _spare_descriptor() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
