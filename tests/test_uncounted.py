"""A server's own counters have every system call that it makes, but for those listed with a reason.

perf counts all calls, and by name those that forkkv counts itself or is known not to count. If the
names do not add up to all, somebody has added a call without a counter.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from conftest import RunningServer, wait_until
from programs import needs

from forkkv._core import SYSCALLS
from forkkv.clients.command import client
from forkkv.clients.workloads import WORKLOADS
from forkkv.perf import observe, probe, targets
from forkkv.perf.crosscheck import SLEEPING, UNCOUNTED
from forkkv.perf.events import TOTAL
from forkkv.perf.perf_stat import PerfStat
from forkkv.stats import read_stats

OPERATIONS: Final = 211
SESSIONS: Final = 31  # each is seven commands on a connection of its own
ENTERED: Final = "syscalls:sys_enter_"
EVENTS: Final = ["-e", ",".join((TOTAL, *(ENTERED + name for name in (*SYSCALLS, *UNCOUNTED))))]

Counts = dict[str, int]


def everything(server: RunningServer) -> None:
    """All workloads, then what they lack: many keys at once, pipelines, large values, expiry."""
    url = f"forkkv://127.0.0.1:{server.port}"
    for name, workload in WORKLOADS.items():
        few = workload.fresh_connection or name == "tiny-writes"
        arguments = ["--workload", name, "--ops", str(SESSIONS if few else OPERATIONS)]
        done = CliRunner().invoke(client, ["--url", url, *arguments])
        assert done.exit_code == 0, done.output
    connection = server.connect()
    many = {f"many:{number}": bytes(number * 97) for number in range(97)}
    connection.mset(many)
    connection.mget(list(many))
    connection.set("large", bytes(3_000_000))
    connection.get("large")
    with connection.pipeline(transaction=False) as pipeline:
        for number in range(OPERATIONS):
            pipeline.set(f"soon:{number}", "v", px=5).get("large:not").incr("n")
        pipeline.execute()
    connection.flushall()
    connection.close()


def own(name: str) -> dict[str, Counts]:
    """What each process has counted itself."""
    return {
        "-".join((each["role"], str(each["index"]))): each["syscalls"]
        for each in read_stats(name)["processes"]
    }


def has_looked(name: str, who: str, first: dict[str, Counts]) -> bool:
    """Whether a process has made its rounds: each looks at a lock, which fcntl tells."""
    return own(name)[who]["fcntl"] >= first[who]["fcntl"] + 3


def by_perf(file: Path) -> Counts:
    """The calls that perf has counted, by name; all of them are `total`."""
    rows = [line.split(";") for line in file.read_text().splitlines() if ";" in line]
    numbers = {row[2].removeprefix(ENTERED): row[0] for row in rows}
    counts = {
        name: 0 if number.startswith("<") else int(number) for name, number in numbers.items()
    }
    return {"total": counts.pop(TOTAL), **counts}


@dataclass
class Counted:
    """One process: perf's counts, and its own counters before and after each edge."""

    perf: Counts
    before: Counts
    start: Counts
    end: Counts
    after: Counts

    def wrong(self) -> Iterator[str]:
        """Each call whose two counts cannot both be right."""
        for name in SYSCALLS:
            least, most = self.end[name] - self.start[name], self.after[name] - self.before[name]
            spare = 1 if name in SLEEPING else 0
            if not least - spare <= self.perf[name] <= most + spare:
                yield f"{name}: perf {self.perf[name]}, own {least}..{most}"


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counted]:
    """The processes of a server that was asked for everything, by role and index."""
    needs("perf")
    found = probe.probe(os.getpid())
    if isinstance(found, probe.Refusal):
        pytest.skip(found.problem)
    home = tmp_path_factory.mktemp("uncounted")
    server = RunningServer(f"test-{os.getpid()}-uncounted", home, ("--workers", "2"))
    try:
        server.wait_ready()
        return count(server, home)
    finally:
        assert server.stop() == 0, server.log


def count(server: RunningServer, home: Path) -> dict[str, Counted]:
    """Asks the server for everything, and has perf count its processes meanwhile."""
    scratch = home / "scratch"
    scratch.mkdir()
    perf = PerfStat(home, scratch, lambda _: EVENTS, True, 0.0)
    family = targets.of_table(observe.participants(server.name))
    try:
        perf.attach(family)
        readings = [own(server.name)]
        perf.enable([target.label for target in family])
        readings.append(own(server.name))
        everything(server)
        for each in ("master-0", "keeper-0"):
            wait_until(partial(has_looked, server.name, each, readings[0]), f"rounds of {each}")
        readings.append(own(server.name))
        perf.disable()
        readings.append(own(server.name))
    finally:
        perf.finish()
    names = {target.label: f"{target.role}-{target.index}" for target in family}
    return {
        names[label]: Counted(by_perf(file), *(reading[names[label]] for reading in readings))
        for label, file in perf.files().items()
    }


def test_each_call_that_forkkv_counts_has_the_number_that_perf_has(
    counted: dict[str, Counted],
) -> None:
    assert counted.keys() == {"master-0", "keeper-0", "worker-0", "worker-1"}
    assert [(name, wrong) for name, each in counted.items() for wrong in each.wrong()] == []
    assert sum(each.perf["read"] for each in counted.values()) > len(WORKLOADS) * SESSIONS


def test_every_other_call_is_listed_with_its_reason(counted: dict[str, Counted]) -> None:
    unlisted = {}
    for name, each in counted.items():
        named = sum(number for call, number in each.perf.items() if call != "total")
        unlisted[name] = each.perf["total"] - named
    assert unlisted == dict.fromkeys(counted, 0), "strace -c -f -p PID names them"


def test_a_worker_makes_no_call_for_a_command_that_is_not_counted(
    counted: dict[str, Counted],
) -> None:
    for index in (0, 1):
        perf = counted[f"worker-{index}"].perf
        others = {name: perf[name] for name in UNCOUNTED if perf[name]}
        assert sum(others.values()) < perf["total"] / 20, others
