"""What the kernel counts for collect.sh is exact, whoever counts and whoever comes and goes.

The numbers are primes: no other count of a run is likely to be the same. Where the kernel does not
permit a source, the test asserts what is said then.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from conftest import RunningServer, check_table, wait_until
from lab import DEADLINE, TESTS, Lab, new_lab, read_until
from mini_server import read_counters
from programs import needs

from forkkv.perf import crosscheck
from forkkv.perf.process import Process
from forkkv.perf.render import to_text
from forkkv.perf.report import build
from forkkv.perf.run import Run, load

CONNECTS, WRITES = 23, 101
GETS = 10_007
COUNTERS: Final = ("perf", "bpftrace", "strace")

# Each says when it is ready, does its work after a line of input, says so, and waits for the end.
ASKS: Final = r"""
import mini_client, os, sys
print("ready", flush=True)
sys.stdin.readline()
mini_client.main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
os.write(1, b"done\n")
sys.stdin.readline()
"""
GETS_LOCALLY: Final = r"""
import forkkv, os, sys
table = forkkv.attach(sys.argv[1])
for _ in range(100): table.get("k")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])): table.get("k")
os.write(1, b"done\n")
sys.stdin.readline()
"""


class Program:
    """One of the programs above."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TESTS
        )
        read_until(self.process, "ready")

    def work(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        read_until(self.process, "done")

    def end(self) -> None:
        self.process.communicate(timeout=DEADLINE)


@dataclass
class Observed:
    """The one run that most tests look at."""

    run: Run
    said: str
    local: str  # labels of the programs that have the table open
    boxed: list[str]  # in PID namespaces of their own

    def __getitem__(self, label: str) -> Process:
        return next(process for process in self.run.processes if process.label == label)

    @property
    def counted(self) -> bool:
        """Whether perf was permitted; if not, that was said."""
        if self.run.source != "perf":
            assert "perf cannot be used: " in self.said
            assert "To allow it: " in self.said
            assert "Falling back to " in self.said
        return self.run.source == "perf"


def in_namespace() -> list[str]:
    """The words that put a program into a PID namespace of its own; empty where not permitted."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child"]
    try:
        allowed = subprocess.run([*unshare, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return []
    return unshare if allowed.returncode == 0 else []


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """Two workers, of whom one dies twice; a client and three programs that ran before."""
    home, name = tmp_path_factory.mktemp("observed"), f"test-{os.getpid()}-observed"
    server = RunningServer(name, home, ("--workers", "2"))
    try:
        server.wait_ready()
        with new_lab(home / "lab") as lab:
            yield observe(lab, server)
        check_table(name)
    finally:
        assert server.stop() == 0, server.log


def observe(lab: Lab, server: RunningServer) -> Observed:
    for tool in COUNTERS:
        lab.link(tool)
    gets = [sys.executable, "-c", GETS_LOCALLY, server.name, str(GETS)]
    asks = [sys.executable, "-c", ASKS, str(server.port), str(CONNECTS), str(WRITES)]
    boxes = [Program(*box, *gets) for _ in range(2) if (box := in_namespace())]
    programs = [Program(*gets), Program(*asks), *boxes]
    known = ("--name", server.name, "--client-pid", str(programs[1].process.pid))
    running = lab.start_collect(*known, "--interval", "0.1")
    said = read_until(running, "Ctrl-C ends it")
    for successor in ("worker-0.2", "worker-0.3"):
        os.kill(server.pids()[0], signal.SIGKILL)
        said += read_until(running, f"{successor} came, and is counted from here on.")
    for program in programs:
        program.work()
    if "by perf" in said:
        steps = lab.out / "master.perf"
        wait_until(lambda: steps.read_text().count("raw_syscalls") > 4, "steps of the time line")
    running.send_signal(signal.SIGINT)
    said += running.communicate(timeout=DEADLINE)[0]
    for program in programs:
        program.end()
    labels = ["attached-1", "attached-1.2"][: len(boxes)]
    return Observed(load(lab.out), said, f"attached-{programs[0].process.pid}", labels)


def test_the_successors_of_a_dead_worker_are_counted_and_have_labels_of_their_own(
    observed: Observed,
) -> None:
    labels = [process.label for process in observed.run.server if process.in_table]
    assert labels[:2] == ["master", "keeper"]
    assert {"worker-0", "worker-1", "worker-0.2", "worker-0.3"} <= set(labels)
    assert observed["worker-0"].note == "ended during the window, and was counted until then"
    assert observed["worker-0.2"].note == "started during the window, and ended in it"
    assert observed["worker-0.3"].note == "started during the window"
    if observed.counted:
        assert {observed[label].source for label in labels} == {"perf"}


def test_what_the_workers_did_is_counted_exactly(observed: Observed) -> None:
    workers = [observed[label] for label in ("worker-0.3", "worker-1")]
    sums = {call: sum(worker.calls[call].value or 0 for worker in workers)
            for call in ("accept4", "read", "write", "close")}  # fmt: skip
    assert sums["accept4"] - sum(w.own["accept_empty"].best for w in workers) == CONNECTS
    assert sums["write"] == WRITES
    assert sums["read"] == WRITES + CONNECTS  # each connection's end is a read too
    assert sums["close"] == CONNECTS


def test_perf_agrees_with_every_process_from_its_attach_on(observed: Observed) -> None:
    if not observed.counted:
        return
    checks = crosscheck.check(observed.run)
    assert {row.process for row in checks} >= {"master", "keeper", "worker-1", "worker-0.3"}
    assert {row.call for row in checks} >= {"read", "write", "accept4", "close", "epoll_wait"}
    # The master has written to the log that its workers died.
    assert [row for row in checks if not row.agrees and row.process != "master"] == []


def test_a_client_that_runs_already_is_counted_by_its_pid(observed: Observed) -> None:
    client = observed["client-1"]
    assert "mini_client" in client.command
    if observed.counted:
        assert client.calls["connect"].value == CONNECTS
        assert client.calls["write"].value == WRITES + 1  # and a line to the test


def test_local_gets_make_no_system_call_and_the_report_says_so(observed: Observed) -> None:
    for label in [observed.local, *observed.boxed]:
        assert observed[label].own["hits"].best + observed[label].own["misses"].best == GETS
        if observed.counted:
            assert observed[label].total.value == 2  # it told the test, and waited for its answer
    if observed.counted:
        assert "local-reads" in to_text(build(observed.run))


def test_a_program_in_a_container_is_counted_by_the_pid_that_it_has_here(
    observed: Observed,
) -> None:
    if not observed.boxed:
        assert "FORKKV_TEST_ALL" not in os.environ, "not allowed to make a PID namespace"
        pytest.skip("needs the right to make a PID namespace")
    first, second = (
        entry for entry in observed.run.facts["processes"] if entry["label"] in observed.boxed
    )
    assert first["table_pid"] == second["table_pid"] == 1
    assert len({first["pid"], second["pid"], 1}) == 3


def test_the_moments_of_the_time_line_add_up_to_the_totals(observed: Observed) -> None:
    run = observed.run
    if not observed.counted:
        return
    assert len(run.moments) > 2
    assert run.moments[0].offset == 0
    assert sum(moment.seconds for moment in run.moments) == pytest.approx(run.seconds)
    for process in run.processes:
        parts = [part.total.value or 0 for moment in run.moments for part in moment.processes
                 if part.label == process.label]  # fmt: skip
        assert sum(parts) == pytest.approx(process.total.value), process.label


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with new_lab(tmp_path) as made:
        yield made


@pytest.mark.parametrize("source", COUNTERS)
def test_every_source_counts_a_server_and_its_client_exactly(lab: Lab, source: str) -> None:
    needs(source)
    lab.link(source)
    pid, port, counters = lab.start_mini_server()
    before = read_counters(counters)
    client = f"{sys.executable} {TESTS / 'mini_client.py'} {port} {CONNECTS} {WRITES}"
    arguments = ["--source", source, "--pid", str(pid), "--client", client, "--interval", "0"]
    status, said = lab.collect(*arguments)
    if status in (5, 6):
        assert f"{source} cannot be used: " in said
        assert "To allow it: " in said
        return
    if "not permitted" in said:  # strace is told so only when it attaches
        assert status == 7
        return
    assert status == 0, said
    assert ("Warning: strace slows each process several times" in said) == (source == "strace")
    wait_until(lambda: read_counters(counters)["close"] == CONNECTS, "the last end")
    own = {call: after - before[call] for call, after in read_counters(counters).items()}
    run = load(lab.out)
    (served,), (asked,) = run.server, run.clients
    assert {served.source, asked.source} == {source}
    counted = {call: served.calls[call].value for call in own}
    assert abs((counted.pop("epoll_wait") or 0) - own.pop("epoll_wait")) <= 1  # it sleeps in it
    assert counted == own
    assert (own["accept4"], own["write"], own["read"]) == (CONNECTS, WRITES, WRITES + CONNECTS)
    assert asked.calls["connect"].value == CONNECTS
    assert asked.calls["write"].value == WRITES
    assert run.moments == ()


def test_strace_counts_a_client_that_fails_as_well(lab: Lab) -> None:
    needs("strace")
    lab.link("strace")
    known = ("--source", "strace", "--pid", str(lab.idle()))
    status, said = lab.collect(*known, "--client", "bash -c 'echo said; exit 3'")
    assert status == 7
    if "not permitted" not in said:
        assert "Lost: client-1 ended with exit code 3; see client-1.log" in said
        assert load(lab.out).clients[0].calls["write"].value == 1
