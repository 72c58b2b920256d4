"""The master: makes the table, binds, forks, and keeps the processes of one server alive.

It serves no client and writes no key. The loop sleeps where signals queue and takes at most one per
pass; there are no handlers, so nothing ever runs in between.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import time
from typing import TYPE_CHECKING

from forkkv._core import Table
from forkkv.accept import SERVING, YIELDING
from forkkv.backoff import Backoff
from forkkv.children import Child, Children, show_crashes
from forkkv.claim import adopt_table, create_table, refuse_truncated, release_table
from forkkv.config import WORKERS_MAX, Config
from forkkv.descriptors import raise_descriptor_limit
from forkkv.keeper import Keeper
from forkkv.listener import close_listeners, open_listeners
from forkkv.log import get_log, start_log
from forkkv.session import Identity
from forkkv.signals import block_signals, take_signal
from forkkv.sizes import format_size
from forkkv.stall import StallWatch
from forkkv.worker import Worker

if TYPE_CHECKING:
    from forkkv._core import ParticipantFacts

SIGNALS = {
    signal.SIGCHLD,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGTTIN,
    signal.SIGTTOU,
}
SLEEP_SECONDS = 1.0
SLEEP_BUSY_SECONDS = 0.05  # while something is under way that no signal announces
log = get_log("master")


def serve(config: Config) -> int:
    """Runs one server until it is told to stop. Returns the exit code; raises ServeError."""
    start_log()
    show_crashes()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    block_signals(SIGNALS)
    room = raise_descriptor_limit(config.maxclients)
    if room < config.maxclients:
        log.warning("a worker has room for %d connections; `ulimit -n` raises that", room)
    table = adopt_table(config)
    if table is not None:
        log.info("table %s was left behind; serving it, repaired", config.name)
    listeners: list[socket.socket] = []
    exit_code = 1
    try:
        listeners = open_listeners(config)
        if table is None:  # an empty one that was left behind is false, too
            table = create_table(config)
        table.set_lock_timeout(round(config.lock_timeout * 1000))  # its children keep it
        exit_code = Master(config, table, listeners).run()
    finally:
        close_listeners(listeners)
        if table is not None:
            release_table(table, config.name, keep=config.keep or exit_code != 0)
    return exit_code


class Master:
    """One server's processes. Runs in the master, save for the two methods named run_*."""

    def __init__(self, config: Config, table: Table, listeners: list[socket.socket]) -> None:
        self.config = config
        self.table = table
        self.listeners = listeners
        self.identity = Identity(os.getpid(), secrets.token_hex(20), time.monotonic())
        self.children = Children()
        self.workers_wanted = config.workers
        self.backoffs: dict[tuple[str, int], Backoff] = {}
        self.to_replace: list[Child] = []
        self.stall_watch = StallWatch(config.stall)
        self.signal: signal.Signals | None = None
        self.stopping = False
        self.exit_code = 0
        self.announced = False

    def run(self) -> int:
        """The loop. Returns the exit code once it is to stop and the last child is gone."""
        self.table.set_state("starting")
        try:
            while not (self.stopping and not self.children):
                self.handle_signal()
                self.kill_stalled()
                self.replace_next()
                self.give_up_retired()
                self.spawn_missing()
                self.announce()
                self.sleep()
                refuse_truncated(self.table, self.config.name)
                self.reap_dead()
        finally:
            self.children.end()
        return self.exit_code

    def reap_dead(self) -> None:
        """Collects dead children, and repairs at once what they may have left in the table."""
        for death in self.children.reap():
            repaired = self.table.repair()
            if death.expected:
                log.info("%s", death)
                continue
            log.warning("%s; repaired %d", death, repaired)
            backoff = self._backoff_of(death.child.role, death.child.index)
            backoff.note_death(death.lived_seconds, time.monotonic())

    def handle_signal(self) -> None:
        """At most one per pass; its method is named after it."""
        number, self.signal = self.signal, None
        if number is not None:
            getattr(self, "handle_" + number.name[3:].lower())()

    def kill_stalled(self) -> None:
        """Kills who gives no sign of life, and who was asked to leave and has not."""
        for child in self.children.kill_late():
            log.warning("%s, pid %d, did not leave in time; killed", child, child.pid)
        heartbeats = {child.pid: 0 for child in self.children if not child.killed}
        heartbeats |= {
            pid: each["heartbeat_ns"] for pid, each in self._enrolled().items() if pid in heartbeats
        }
        for pid in self.stall_watch.stalled(heartbeats, time.monotonic()):
            child = self.children.by_pid[pid]
            log.warning("%s, pid %d, gives no sign of life; killed", child, pid)
            self.children.kill(child)

    def replace_next(self) -> None:
        """Asks the next worker of a HUP to leave, once all the others serve."""
        if self.to_replace and not self.stopping and self._all_serve():
            child = self.to_replace.pop(0)
            if child.pid in self.children.by_pid:
                self.children.ask_to_leave(child, self.config.grace)

    def give_up_retired(self) -> None:
        """Stops when somebody has removed the table: there is nothing left to serve."""
        if not self.stopping and self.table.facts()["retired"]:
            log.error("the table was unlinked or replaced by somebody else; stopping")
            self.stop(exit_code=1)

    def spawn_missing(self) -> None:
        """Starts what should run and does not; asks workers beyond the wanted number to leave."""
        workers = self.children.staying("worker")
        wanted = [("keeper", 0), *(("worker", index) for index in range(self.workers_wanted))]
        running = [("keeper", 0)] if self.children.staying("keeper") else []
        running += [("worker", index) for index in workers]
        for place in wanted:
            if place not in running and not self.stopping:
                self._spawn(*place)
        for index, worker in workers.items():
            if index >= self.workers_wanted:
                self.children.ask_to_leave(worker, self.config.grace)

    def announce(self) -> None:
        """The ready line, once every process serves."""
        if self.announced or self.stopping or not self._all_serve():
            return
        self.announced = True
        self.table.set_state(SERVING)
        log.info("ready: %s", self._summary())

    def sleep(self) -> None:
        """Ends at once when a signal comes; a child's death is one."""
        busy = self.stopping or self.to_replace or not self.announced
        busy = busy or len(self.children) <= self.workers_wanted
        self.table.heartbeat()
        self.signal = take_signal(SIGNALS, SLEEP_BUSY_SECONDS if busy else SLEEP_SECONDS)

    def stop(self, exit_code: int = 0) -> None:
        """Graceful: children finish what they have read, and leave within the grace."""
        self.stopping = True
        self.exit_code = max(self.exit_code, exit_code)
        self.table.set_state("stopping")
        close_listeners(self.listeners)  # else clients would wait in a queue nobody serves
        for child in self.children:
            self.children.ask_to_leave(child, self.config.grace)

    def handle_chld(self) -> None:
        """Nothing: it has ended the sleep, and each pass reaps."""

    def handle_term(self) -> None:
        """Graceful stop; the second time a fast one."""
        if self.stopping:
            self.handle_quit()
        else:
            log.info("stopping; once more to stop at once")
            self.stop()

    handle_int = handle_term

    def handle_quit(self) -> None:
        """Fast stop: children are killed, replies under way are lost."""
        log.info("stopping at once")
        if not self.stopping:
            self.stop()
        for child in self.children:
            self.children.kill(child)

    def handle_hup(self) -> None:
        """Replaces the workers one after another; no moment without workers."""
        log.info("replacing the workers")
        self.to_replace = list(self.children.staying("worker").values())

    def handle_usr1(self) -> None:
        """Writes one line about the server to the log."""
        facts = self.table.facts()
        log.info("%s, %d keys, %d repairs", self._summary(), facts["keys"], facts["repairs"])

    def handle_ttin(self) -> None:
        """One worker more."""
        self._want_workers(self.workers_wanted + 1)

    def handle_ttou(self) -> None:
        """One worker less."""
        self._want_workers(self.workers_wanted - 1)

    def run_worker(self, index: int) -> int:
        """Runs in the worker."""
        return Worker(self.config, self.identity, self.table, self.listeners, index).run()

    def run_keeper(self) -> int:
        """Runs in the keeper."""
        for listener in self.listeners:
            listener.close()
        return Keeper(self.table, self.identity.master_pid).run()

    def _spawn(self, role: str, index: int) -> None:
        """Runs in the master. Waits for its turn when the last ones died young."""
        backoff = self._backoff_of(role, index)
        if backoff.hopeless:
            log.error(
                "%s %d has died %d times in a row right after its start; giving up. "
                "The lines above say of what",
                role,
                index,
                backoff.young_deaths,
            )
            self.stop(exit_code=1)
        elif time.monotonic() >= backoff.not_before:
            body = self.run_keeper if role == "keeper" else lambda: self.run_worker(index)
            try:
                self.children.fork(role, index, body)
            except OSError as error:
                log.error("cannot fork %s %d: %s; trying again", role, index, error.strerror)
                backoff.note_death(0.0, time.monotonic())

    def _backoff_of(self, role: str, index: int) -> Backoff:
        return self.backoffs.setdefault((role, index), Backoff())

    def _want_workers(self, count: int) -> None:
        self.workers_wanted = min(max(count, 1), WORKERS_MAX)
        log.info("%d workers from now on", self.workers_wanted)

    def _all_serve(self) -> bool:
        """Whether the keeper and every wanted worker have come up, and nobody is leaving."""
        enrolled, expected = self._enrolled(), {SERVING, YIELDING, "keeping"}
        return len(self.children) == self.workers_wanted + 1 and all(
            child.pid in enrolled and enrolled[child.pid]["state"] in expected
            for child in self.children
        )

    def _enrolled(self) -> dict[int, ParticipantFacts]:
        """What the children say of themselves, by pid. The pid alone does not tell: it may be a
        stranger's in another PID namespace, or was that of a process whose entry is left."""
        known = {(child.pid, child.role, child.index) for child in self.children}
        return {
            each["pid"]: each
            for each in self.table.participants()
            if each["alive"] and (each["pid"], each["role"], each["index"]) in known
        }

    def _summary(self) -> str:
        config = self.config
        tcp = [f"{config.bind}:{config.port}"] if config.port else []
        ways = " and ".join(tcp + ([config.unix] if config.unix else []))
        limit = format_size(self.table.facts()["memory_limit_bytes"])
        pids = " ".join(str(child.pid) for child in self.children.staying("worker").values())
        keepers = " ".join(str(child.pid) for child in self.children.staying("keeper").values())
        return (
            f"table {config.name} on {ways}, memory {limit}, {self.workers_wanted} workers "
            f"(pids {pids}), keeper {keepers}, master {os.getpid()}"
        )
