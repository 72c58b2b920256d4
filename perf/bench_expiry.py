"""A million keys that expire at once: whom that makes wait, and how long; beside a table without.

    python -m forkkv.perf.bench_expiry [--quick]

prints the table of docs/memory.md. A server with one worker and its keeper has a table full of
keys that expire in the same millisecond. Meanwhile one process sets and gets through the local
door, one through the network door, a third asks for DBSIZE, a fourth for len(table). Rounds
alternate with one where a hundredth stays, for counting must then look at each key; and with a
control whose keys never expire: what stalls there, too, is the machine's doing.
"""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median

import click

import forkkv
from forkkv.perf.bench_process import connect, forkkv_command, free_port, server

PHASES = ("before", "during", "after")
AT_ONCE, MOST, NEVER = "expire at once", "99 % expire at once", "never expire"
STAY_SECONDS = 3600.0
PHASE_SECONDS = 1.0
LIMIT_MS = 10.0
BATCH = 1000  # keys stored at a time
PROBE_KEYS = 10_000
PROBE_BURST = 20  # pairs of set and get between two naps: a probe that never sleeps would be
NAP_SECONDS = 0.001  # what the others wait for, on two CPUs
COUNT_NAP_SECONDS = 0.02
VALUE = b"v" * 32

Calls = Sequence[Callable[[int], object]]


class Connection:
    """A client that sends one command at a time, whose reply fits a packet."""

    def __init__(self, port: int) -> None:
        self.socket = connect(port)

    def ask(self, line: bytes) -> bytes:
        """The reply to an inline command."""
        self.socket.sendall(line + b"\r\n")
        return self.socket.recv(4096)

    def close(self) -> None:
        self.socket.close()


def longest_ms(calls: Calls, burst: int, nap: float, start: float) -> list[float]:
    """The longest call of each phase; the first begins at `start`, by the wall clock. The clock is
    read once between two calls, so nothing that holds us up goes unseen."""
    longest = [0.0] * len(PHASES)
    time.sleep(max(0.0, start - time.time()))
    number = 0
    while (phase := int((time.time() - start) / PHASE_SECONDS)) < len(PHASES):
        for _ in range(burst):
            number = (number + 7919) % PROBE_KEYS
            before = time.perf_counter()
            for call in calls:
                call(number)
                after = time.perf_counter()
                longest[phase] = max(longest[phase], after - before)
                before = after
        time.sleep(nap)
    return [each * 1e3 for each in longest]


def probe_local(name: str, start: float) -> list[float]:
    """Runs in its own process: sets and gets through the local door."""
    with forkkv.attach(name) as table:
        calls: Calls = (
            lambda number: table.set(b"probe:%d" % number, VALUE),
            lambda number: table.get(b"probe:%d" % number),
        )
        return longest_ms(calls, PROBE_BURST, NAP_SECONDS, start)


def probe_server(port: int, start: float) -> list[float]:
    """The same through the worker."""
    with closing(Connection(port)) as door:
        calls: Calls = (
            lambda number: door.ask(b"SET probe:%d %s" % (number, VALUE)),
            lambda number: door.ask(b"GET probe:%d" % number),
        )
        return longest_ms(calls, PROBE_BURST, NAP_SECONDS, start)


def probe_dbsize(port: int, start: float) -> list[float]:
    """DBSIZE, which the worker answers between the commands of the others."""
    with closing(Connection(port)) as door:
        return longest_ms((lambda number: door.ask(b"DBSIZE"),), 1, COUNT_NAP_SECONDS, start)


def probe_len(name: str, start: float) -> list[float]:
    """len(table), through the local door."""
    with forkkv.attach(name) as table:
        return longest_ms((lambda number: len(table),), 1, COUNT_NAP_SECONDS, start)


@dataclass(frozen=True)
class Bench:
    """A running server, and how many keys are to expire."""

    table: forkkv.Table
    name: str
    port: int
    keys: int
    pool: ProcessPoolExecutor

    def fill(self, kind: str, expires_at: float) -> int:
        """Stores the keys; how many of them expire at that moment."""
        self.table.clear()
        for number in range(PROBE_KEYS):
            self.table.set(b"probe:%d" % number, VALUE)
        stay = {AT_ONCE: 0, MOST: BATCH // 100, NEVER: BATCH}[kind]
        for first in range(0, self.keys, BATCH):
            keys = [b"k%015d" % number for number in range(first, first + BATCH)]
            later = STAY_SECONDS if kind == MOST else None
            if stay:
                self.table.set_many(dict.fromkeys(keys[:stay], VALUE), later)
            if stay < BATCH:
                self.table.set_many(dict.fromkeys(keys[stay:], VALUE), expires_at - time.time())
        return self.keys // BATCH * (BATCH - stay)

    def swept(self) -> int:
        """Keys that were removed so far because they had expired, by anybody."""
        return sum(each["counts"]["expired"] for each in self.table.participants())

    def round(self, kind: str, fill_seconds: float) -> tuple[dict[str, list[float]], float]:
        """Milliseconds of the longest call, by probe and phase; and how long the sweep was busy,
        from the moment of expiry, in milliseconds (0 for the control)."""
        due = time.time() + 1.5 * fill_seconds + 2 * PHASE_SECONDS
        start, swept = due - PHASE_SECONDS, self.swept()
        expiring = self.fill(kind, due)
        if time.time() > start:
            raise click.ClickException("the machine is too busy: filling took too long")
        probes = {
            "local door: set, get": self.pool.submit(probe_local, self.name, start),
            "network door: SET, GET": self.pool.submit(probe_server, self.port, start),
            "DBSIZE": self.pool.submit(probe_dbsize, self.port, start),
            "len(table)": self.pool.submit(probe_len, self.name, start),
        }
        busy = self.wait_swept(swept + expiring, due) if expiring else 0.0
        return {what: each.result() for what, each in probes.items()}, busy

    def wait_swept(self, wanted: int, due: float) -> float:
        while self.swept() < wanted:
            if time.time() > due + 60:
                raise click.ClickException("the keeper has not removed what has expired")
            time.sleep(0.01)
        return (time.time() - due) * 1e3


def cell(values: Sequence[float]) -> str:
    """Median and spread."""
    return f"{median(values):.1f} ({min(values):.1f} .. {max(values):.1f})"


Rounds = list[dict[str, list[float]]]


def print_table(rounds: dict[str, Rounds]) -> None:
    click.echo(f"| longest call, ms | keys | {' | '.join(PHASES)} |")
    click.echo("| --- " * (2 + len(PHASES)) + "|")
    for what in next(iter(rounds.values()))[0]:
        for kind, results in rounds.items():
            phases = zip(*(each[what] for each in results), strict=True)
            click.echo(f"| {what} | {kind} | {' | '.join(map(cell, phases))} |")


def run(bench: Bench, count: int) -> None:
    rounds: dict[str, Rounds] = {AT_ONCE: [], MOST: [], NEVER: []}
    started, busy = time.time(), []
    bench.fill(NEVER, 0.0)
    fill_seconds = time.time() - started
    for _ in range(count):
        for kind, results in rounds.items():
            result, swept = bench.round(kind, fill_seconds)
            results.append(result)
            busy += [swept] if swept else []
    print_table(rounds)
    click.echo(f"\nall swept after, ms: {cell(busy)}")
    for kind, results in rounds.items():
        worst = [cells[1] for each in results for cells in list(each.values())[:2]]
        over = sum(each > LIMIT_MS for each in worst)
        click.echo(f"{kind}: {over} of {len(worst)} longest sets or gets of a round's second "
                   f"above {LIMIT_MS:.0f} ms")  # fmt: skip


@click.command()
@click.option("--quick", is_flag=True, help="Fewer keys and rounds, to see that it works.")
def main(quick: bool) -> None:
    """Let many keys expire at once, and print whom that makes wait."""
    name, port = f"forkkv-bench-{os.getpid()}", free_port()
    keys, rounds = (20_000, 1) if quick else (1_000_000, 7)
    with (
        server(forkkv_command(port, name, 1, "512mb"), port),
        forkkv.attach(name) as table,
        ProcessPoolExecutor(4, get_context("spawn")) as pool,
    ):
        run(Bench(table, name, port, keys, pool), rounds)


if __name__ == "__main__":
    main()
