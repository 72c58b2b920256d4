"""Scenarios of a prefork store: each makes its situation, or (`near`) one that only looks like it.

The first paragraph of each says what is done, the second what is done for the neighbour.
"""

import os
import random
import signal
import time
from functools import partial

import forkkv
from forkkv.perf.proof.stage import Stage, driver
from forkkv.perf.proof.study_scenarios import fill


def unfair_accept(stage: Stage, near: bool) -> None:
    """A server whose first worker takes every connection that it can.

    The same server without that flaw, asked alike.
    """
    stage.collect_flawed("none" if near else "greedy")


def thundering_herd(stage: Stage, near: bool) -> None:
    """A server whose eight workers all wake for every connection.

    The same server without that flaw, asked alike.
    """
    stage.collect_flawed("none" if near else "herd", workers=8)


def hot_worker(stage: Stage, near: bool) -> None:
    """Sixteen connections, of which those of one worker carry the load.

    Sixteen connections that carry it alike.
    """
    stage.serve()
    stage.load("level" if near else "lopsided", stage.port)
    stage.collect()


def lock_contention(stage: Stage, near: bool) -> None:
    """Three programs that each write two thousand keys at once, again and again.

    Three programs that each write one key, again and again.
    """
    stage.serve()
    for number in range(3):
        stage.load(*(("write", stage.table, f"key{number}") if near else ("contend", stage.table)))
    stage.attached(3)
    stage.collect()


def stopped_holder(stage: Stage, near: bool) -> None:
    """A program is stopped while it holds a lock, and a client writes what the lock guards.

    A program is stopped that holds none.
    """
    stage.serve()
    child = stage.load("wait" if near else "hold", stage.table)
    stage.attached()
    if near:
        os.kill(child.pid, signal.SIGSTOP)
    else:
        stop_with_lock(stage, child.pid)
    stage.collect(driver("poke", stage.port, "held"))


def stop_with_lock(stage: Stage, pid: int) -> None:
    """Stops the process at random moments until it happens to hold the lock."""
    with forkkv.attach(stage.table, lock_timeout=0) as probe:

        def is_held() -> bool:
            try:
                probe.set("held", b"")
            except forkkv.TableBusy:
                return True
            return False

        def stopped_in_time() -> bool:
            time.sleep(random.uniform(0, 0.003))
            os.kill(pid, signal.SIGSTOP)
            if is_held():
                return True
            os.kill(pid, signal.SIGCONT)
            return False

        stage.wait_until(stopped_in_time)


def table_full(stage: Stage, near: bool) -> None:
    """Writes of new keys beyond the memory limit.

    The same writes to a table that has room for them.
    """
    stage.serve(memory="256mb" if near else "8mb")
    client = stage.client("write-heavy", "--keys", "500000", "--size", "200", "--pipeline", "16")
    stage.collect(client)


def eviction_storm(stage: Stage, near: bool) -> None:
    """A cache of 8 MiB, and writes of ten times as much.

    The same cache, and writes of a tenth of it.
    """
    stage.serve("--policy", "s3fifo", memory="8mb")
    keys = "2000" if near else "400000"
    stage.collect(stage.client("write-heavy", "--keys", keys, "--size", "200", "--pipeline", "16"))


def expiry_burst(stage: Stage, near: bool) -> None:
    """20,000 keys that expire at the same moment.

    20,000 keys that expire one after another, over two seconds.
    """
    stage.serve()
    load = ("expire", stage.port, *((400, 1600) if near else (1500, 0)))
    stage.collect(meanwhile=lambda: stage.load(*load), seconds=2.5)


def slow_reader(stage: Stage, near: bool) -> None:
    """A client that asks for much more than it reads.

    A client that asks for the same and reads it.
    """
    stage.serve()
    stage.load("prompt" if near else "slow", stage.port)
    stage.collect()


def respawn_loop(stage: Stage, near: bool) -> None:
    """A worker is killed whenever it has come back.

    A worker is killed once.
    """
    stage.serve()

    def kill() -> None:
        for _ in range(1 if near else 4):
            victim = stage.pids("worker")[0]
            os.kill(victim, signal.SIGKILL)
            stage.wait_until(partial(_replaced, stage, victim))

    stage.collect(meanwhile=kill, seconds=3)


def _replaced(stage: Stage, victim: int) -> bool:
    now = stage.pids("worker")
    return len(now) == 2 and victim not in now


def shallow_pipeline(stage: Stage, near: bool) -> None:
    """Clients that nobody counts send each command when the one before is answered.

    They send sixteen at a time.
    """
    stage.serve()
    for _ in range(2):
        stage.work("mixed", *(["--pipeline", "16"] if near else []))
    stage.collect()


def memory_bound(stage: Stage, near: bool) -> None:
    """Values of 50 kB, as fast as they can be had.

    Values of 32 bytes, as fast as they can be had.
    """
    stage.serve()
    if near:
        stage.work("read-heavy", "--pipeline", "64")
    else:
        stage.load("haul", stage.port)
    stage.collect()


def page_faults(stage: Stage, near: bool) -> None:
    """A program that opens a large table anew for each look at all of it.

    A program that opens it once, and looks again and again.
    """
    stage.serve(memory="256mb")
    fill(stage, keys=100_000, size=1000)
    stage.load("scan_warm" if near else "scan", stage.table)
    stage.attached()
    stage.collect()
