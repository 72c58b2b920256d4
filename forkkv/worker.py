"""A worker: accepts, and lets C serve its connections one tick at a time.

One tick waits on epoll, reads what has come, runs all complete commands against the table and
writes the replies. It gives back what is Python's: a listener that is ready, a command outside the
hot table, a connection that is gone.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from types import FrameType
from typing import TYPE_CHECKING

from forkkv._core import WORKER, Server, Table
from forkkv.accept import TICK_MS, Accept
from forkkv.children import EXIT_LEFT
from forkkv.commands import COUNTED, Answer, answer
from forkkv.config import Config
from forkkv.enroll import enroll
from forkkv.log import get_log
from forkkv.session import Context, Identity

if TYPE_CHECKING:
    from forkkv._core import Limits

DRAINING = "draining"
DRAIN_TICK_MS = 50
DRAIN_PART = 0.9  # of the grace: the rest is for leaving, before the master kills


class Worker:
    """Runs in a worker process."""

    def __init__(
        self,
        config: Config,
        identity: Identity,
        table: Table,
        listeners: list[socket.socket],
        index: int,
    ) -> None:
        enroll(table, WORKER, index, identity.master_pid)
        self.table = table
        self.server = Server(table, limits(config))
        self.listeners = listeners
        self.identity = identity
        self.grace = config.grace
        self.context = Context(config, identity, table, self.server, index, COUNTED)
        descriptors = [listener.fileno() for listener in listeners]
        self.accept = Accept(self.server, table, descriptors, config.maxclients)
        self.answers: dict[int, Answer] = {}  # by connection; those that are not complete
        self.leaving = False
        self.look_at_master_ns = 0

    def run(self) -> int:
        """Serves until TERM or the death of the master, then drains. Returns the exit code."""
        signal.signal(signal.SIGTERM, self._handle_term)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        self.table.heartbeat()  # the others count only those that give signs of life
        self.accept.watch()
        while not self.leaving:
            self.tick(self.accept.timeout_ms)
            now_ns = time.monotonic_ns()
            self.accept.look(now_ns)
            if now_ns >= self.look_at_master_ns:
                self._look_at_master(now_ns)
        self.drain()
        return EXIT_LEFT

    def tick(self, timeout_ms: int) -> None:
        """One pass: C serves what is ready and notes a heartbeat, Python answers the rest."""
        for kind, number, argv in self.server.tick(0 if self.answers else timeout_ms):
            if kind == "command":
                self.proceed(number, answer(self.context, self.context.clients[number], argv))
            elif kind == "accept":
                self._welcome_one(number)
            else:
                del self.context.clients[number]
                self.answers.pop(number, None)
        if self.answers:
            number = next(iter(self.answers))
            self.proceed(number, self.answers.pop(number))

    def proceed(self, connection: int, steps: Answer) -> None:
        """Works on an answer; if it takes longer, the others have their turn first."""
        try:
            next(steps)
        except StopIteration as end:
            self.server.answer(connection, end.value)
        else:
            self.answers[connection] = steps

    def drain(self) -> None:
        """Accepts and reads no more; returns when the replies are out, or the grace is over."""
        self.accept.leave()
        self.table.set_state(DRAINING)
        for listener in self.listeners:
            listener.close()
        end = time.monotonic() + self.grace * DRAIN_PART
        while self.server.drain() and time.monotonic() < end:
            self.tick(DRAIN_TICK_MS)
        self.server.shutdown()
        self.table.close()

    def _welcome_one(self, listener: int) -> None:
        connection = self.accept.accept(listener)
        if connection is not None:
            self.context.welcome(connection)

    def _handle_term(self, number: int, frame: FrameType | None) -> None:
        self.leaving = True

    def _look_at_master(self, now_ns: int) -> None:
        """Leaves when the master is gone; asked once a second, for it is a system call."""
        self.look_at_master_ns = now_ns + TICK_MS * 1_000_000
        if os.getppid() != self.identity.master_pid:
            get_log("worker", self.context.index).warning("the master is gone; leaving")
            self.leaving = True


def limits(config: Config) -> Limits:
    """What one connection may use."""
    return {
        "query_buffer": config.query_buffer,
        "bulk_length": config.bulk_length,
        "reply_buffer": config.reply_buffer,
    }
