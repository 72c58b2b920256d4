"""The server in a storm: whom of it to kill, and its new start after the master's death."""

import os
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from conftest import RunningServer, left_behind, still_running, wait_until

from forkkv import objects
from forkkv.backoff import FREE_RESTARTS, YOUNG_SECONDS

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
YOUNG = YOUNG_SECONDS + 0.1  # the master counts from after the fork until it reaps


@dataclass(frozen=True)
class Victim:
    """A process of the server that may be killed now."""

    place: str  # role and index
    process: psutil.Process  # kills nobody else who has got the pid since
    young: bool


class ServerInStorm:
    """A server of table `name`, started again on it whenever its master was killed."""

    def __init__(self, name: str, directory: Path, options: tuple[str, ...]) -> None:
        self.name = name
        self.directory = directory
        self.running = RunningServer(name, directory, options)
        self.running.wait_ready()
        self.options = (*options, "--port", str(self.running.port))
        self.urls = f"unix://{self.running.unix}", f"forkkv://127.0.0.1:{self.running.port}"
        self.table = objects.open_table(name)
        self.ready = True
        self.young_deaths: Counter[str] = Counter()  # in a row, by place

    def victims(self, role: str) -> list[Victim]:
        """Those of a role, save whose death would try the master's patience with young ones.

        The master may die while it starts; the others once all of them serve.
        """
        family = {process.pid: process for process in self.running.family()}
        if role == "master":
            return [Victim("master 0", each, False) for each in list(family.values())[:1]]
        uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
        found = []
        for each in self.table.participants():
            if self.ready and each["role"] == role and each["pid"] in family:
                place = f"{role} {each['index']}"
                age = uptime - each["start_ticks"] / TICKS_PER_SECOND
                if age > YOUNG or self.young_deaths[place] < FREE_RESTARTS:
                    found.append(Victim(place, family[each["pid"]], age <= YOUNG))
        return found

    def kill(self, victim: Victim) -> None:
        """One of victims(); a dead master is started again by revive()."""
        with suppress(psutil.NoSuchProcess):  # struck a moment ago, and reaped
            victim.process.kill()
        self.young_deaths[victim.place] = self.young_deaths[victim.place] + 1 if victim.young else 0
        if victim.place.startswith("master"):
            self.running.process.wait()
            self.ready = False

    def revive(self) -> None:
        """Starts it again if its master was killed; fails if it has ended by itself."""
        code = self.running.process.poll()
        if code is not None:
            assert code == -signal.SIGKILL, self.running.log
            self.running = RunningServer(self.name, self.directory, self.options)
            self.young_deaths.clear()
        self.ready = " ready: " in self.running.log

    def wait_ready(self) -> None:
        """Returns once all of it serves."""

        def is_ready() -> bool:
            self.revive()
            return self.ready

        wait_until(is_ready, "the server to be back")

    def counted(self, *names: str) -> str:
        """What all processes, the dead too, have counted of some events."""
        living = [each["counts"] for each in self.table.participants()]
        everybody = [*living, self.table.departed()["counts"]]
        return ", ".join(f"{sum(each[name] for each in everybody)} {name}" for name in names)

    def end(self) -> list[str]:
        """Stops it. Returns what is wrong; what should not be left is removed."""
        self.table.close()
        family = self.running.family()
        code = self.running.stop()
        try:
            wait_until(lambda: not still_running(family), f"{family} to end")
        finally:
            for process in still_running(family):
                process.kill()
        wrong = [] if code == 0 else [f"the server ended with {code}: {self.running.log}"]
        wrong += [f"left behind: {path}" for path in left_behind(self.name)]
        with suppress(objects.NoSuchTable):
            objects.unlink(self.name)
        return wrong
