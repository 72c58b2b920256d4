"""The storm: writers at both doors of a real server, and SIGKILL for nearly everybody.

    python tests/storm.py --kills 3000 [--seed N] [--seconds N] [--workers N] [--memory 16mb]

Workers, the keeper, the master and attached writers are killed at random moments, now and then
several at once. What died is started again. At the end a survivor reads every key through both
doors, and all histories must be linearizable: then no acknowledged write was lost, no value is torn
or from nowhere, no increment came twice and no SET NX had two winners.
"""

import multiprocessing
import os
import random
import secrets
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import click
from conftest import wait_until
from history import Histories, Recorder
from linear import Operation, refute
from storm_doors import Door, Local, Network
from storm_server import ServerInStorm
from storm_stalls import Kill, Stalls
from storm_writers import Writer, nap_for_ever

FORK = multiprocessing.get_context("fork")
SLEEPERS = 4  # at most
SEVERAL = 0.1  # of the strikes kill two to four
WEIGHTS = {"attached": 50, "worker": 35, "keeper": 15, "master": 1}
EVENTS = ("takeovers", "repairs", "lock_waits", "read_locked", "growths", "segments_freed")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What kind of storm."""

    seed: int
    kills: int = 300
    seconds: float = 3600.0  # at most
    pause_seconds: float = 0.02  # between strikes, on average
    workers: int = 3
    memory: str = "8mb"
    attached: int = 4  # writers at the local door; the first is never killed
    clients: int = 3  # writers at the network door, who lose connections only
    local: Callable[[str], Door] = Local


@dataclass
class Outcome:
    """What a storm did and found."""

    kills: list[Kill] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        roles = Counter(kill.place.split()[0] for kill in self.kills)
        by_role = ", ".join(f"{number} {role}" for role, number in roles.most_common())
        return "\n".join([f"{len(self.kills)} kills: {by_role}", *self.facts, *self.violations])


class Storm:
    """Starts everybody; kills, and starts again; judges."""

    def __init__(self, plan: Plan, name: str, directory: Path) -> None:
        self.plan = plan
        self.name = name
        self.directory = directory
        self.chance = random.Random(plan.seed)
        self.outcome = Outcome()
        self.writers: dict[str, tuple[BaseProcess, Path]] = {}
        self.started = 0
        options = "--workers", str(plan.workers), "--memory", plan.memory
        self.server = ServerInStorm(name, directory, options)

    def run(self) -> Outcome:
        """All of it. Leaves no process and nothing in shared memory."""
        try:
            self.start_all()
            self.rage()
            self.calm()
            self.judge()
        finally:
            self.kill_writers()
            self.outcome.violations += self.server.end()
        return self.outcome

    def start_all(self) -> None:
        places = [f"attached {index}" for index in range(self.plan.attached)]
        places += [f"client {index}" for index in range(self.plan.clients)]
        places += [
            f"sleeper {processor}" for processor in sorted(os.sched_getaffinity(0))[:SLEEPERS]
        ]
        for place in places:
            self.start(place)

    def start(self, place: str) -> None:
        """Forks the writer of a place; each has a history of its own."""
        self.started += 1
        path = self.directory / f"{place.replace(' ', '')}-{self.started}.jsonl"
        path.touch()
        process = FORK.Process(target=self.run_writer, args=(place, path))
        process.start()
        self.writers[place] = process, path

    def run_writer(self, place: str, path: Path) -> None:
        """Runs in the child."""
        try:
            role, index = place.split()
            if role == "sleeper":
                nap_for_ever(path, int(index))
            urls = self.server.urls
            attached = role == "attached"
            door = self.plan.local(self.name) if attached else Network(urls[int(index) % len(urls)])
            Writer(door, path, self.plan.seed).run()
        except BaseException:
            traceback.print_exc()
        os._exit(1)

    def rage(self) -> None:
        """Kills until it is enough."""
        end = time.monotonic() + self.plan.seconds
        while len(self.outcome.kills) < self.plan.kills and time.monotonic() < end:
            time.sleep(self.chance.random() * 2 * self.plan.pause_seconds)
            several = self.chance.random() < SEVERAL
            struck = {self.strike() for _ in range(self.chance.randint(2, 4) if several else 1)}
            self.server.revive()
            self.revive_writers(struck)

    def strike(self) -> str:
        """Kills somebody: an attached writer, if there is no other of the role that was drawn."""
        role = self.chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        victims = [] if role == "attached" else self.server.victims(role)
        if victims:
            victim = self.chance.choice(victims)
            self.outcome.kills.append(Kill(time.monotonic_ns(), victim.place))
            self.server.kill(victim)
            return victim.place
        place = f"attached {self.chance.randrange(1, self.plan.attached)}"
        self.outcome.kills.append(Kill(time.monotonic_ns(), place))
        self.writers[place][0].kill()
        return place

    def revive_writers(self, struck: set[str]) -> None:
        for place, (process, path) in list(self.writers.items()):
            if place in struck:
                process.join()
                self.start(place)
            else:
                assert process.exitcode is None, f"{path.stem} ended by itself"

    def calm(self) -> None:
        """Nobody is killed any more: now everybody must get on."""
        self.server.wait_ready()
        paths = [path for _, path in self.writers.values()]
        sizes = {path: path.stat().st_size for path in paths}
        wait_until(lambda: all(path.stat().st_size > sizes[path] for path in paths), "all get on")
        self.kill_writers()

    def kill_writers(self) -> None:
        for process, _ in self.writers.values():
            process.kill()
            process.join()

    def judge(self) -> None:
        histories = Histories()
        for path in self.directory.glob("*.jsonl"):
            histories.read(path)
        self.server.table.repair()
        self.describe(histories)
        histories.read(self.read_all([key for key in histories.by_key if key[0] != "x"]))
        for key, history in histories.by_key.items():
            self.outcome.violations += violations(key, history)
        broken = self.server.table.check()
        dead = [each["pid"] for each in self.server.table.participants() if not each["alive"]]
        self.outcome.violations += [f"broken: {broken}"] if broken else []
        self.outcome.violations += [f"dead, not repaired: {dead}"] if dead else []

    def describe(self, histories: Histories) -> None:
        operations = [each for history in histories.by_key.values() for each in history]
        unknown = sum(each.end is None for each in operations)
        self.outcome.facts.append(
            f"{len(operations)} operations on {len(histories.by_key)} keys, "
            f"{unknown} of unknown outcome, {len(histories.refused)} refused"
        )
        self.outcome.facts.append(self.server.counted(*EVENTS))
        roles = ("attached", "client", "sleeper")
        operations += histories.refused
        by_role = {role: [o for o in operations if o.process.startswith(role)] for role in roles}
        stalls = Stalls(self.outcome.kills, by_role["sleeper"])
        self.outcome.facts += [stalls.describe(role, own) for role, own in by_role.items()]

    def read_all(self, keys: list[str]) -> Path:
        """A survivor reads every key, through both doors."""
        path = self.directory / "reader.jsonl"
        recorder = Recorder(path)
        with closing(Network(self.server.urls[0])) as network, closing(Local(self.name)) as local:
            for key in keys:
                for door in (network, local):
                    recorder.run("get", key, "", door.get_group if key[0] == "g" else door.get)
        return path


def violations(key: str, history: list[Operation]) -> list[str]:
    """What must not be in the history of one key; first what needs no search to be seen."""
    done = [each for each in history if each.end is not None]
    if key[0] == "x":
        return [f"{key}: torn: {each}" for each in done if each.reply is False]
    sums = Counter(each.reply for each in done if each.name == "incr")
    found = [f"{key}: {times} increments to {sum}" for sum, times in sums.items() if times > 1]
    winners = [str(each) for each in done if each.name == "setnx" and each.reply]
    if key[0] == "n" and len(winners) > 1:
        found.append(f"{key}: {len(winners)} winners of SET NX: {winners}")
    refuted = refute(history)
    return found if refuted is None else [*found, f"{key}: not linearizable: {refuted}"]


def run_storm(plan: Plan, directory: Path) -> Outcome:
    """A storm over a table of its own."""
    print(f"seed {plan.seed}", flush=True)
    return Storm(plan, f"storm-{os.getpid()}-{secrets.token_hex(4)}", directory).run()


@click.command()
@click.option("--kills", default=3000, show_default=True)
@click.option("--seconds", default=3600.0, show_default=True, help="Ends earlier than that.")
@click.option("--seed", type=int, default=lambda: secrets.randbits(32), show_default="drawn")
@click.option("--workers", default=3, show_default=True)
@click.option("--memory", default="16mb", show_default=True)
def main(**options: Any) -> None:
    """A long storm. Exit code 1: it found something."""
    with tempfile.TemporaryDirectory() as directory:
        outcome = run_storm(Plan(**options), Path(directory))
    print(outcome)
    sys.exit(bool(outcome.violations))


if __name__ == "__main__":
    main()
