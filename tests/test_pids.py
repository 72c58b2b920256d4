"""A pid names a process only in its PID namespace, and only while it lives.

The tests run a program in a PID namespace of its own, where it may choose the next pid.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
from conftest import still_running, wait_until
from programs import needs

import forkkv
from forkkv.stats import read_stats

PROGRAM = """
import json, os, signal, sys
import forkkv

table = forkkv.attach(sys.argv[1])
first = os.fork()
if first == 0:
    table["k"] = "by the first"
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(first, 0)
with open("/proc/sys/kernel/ns_last_pid", "w") as last:
    last.write(str(first - 1))
second = os.fork()
if second == 0:
    signal.pause()
alive = [each["alive"] for each in table.participants() if each["pid"] == first]
repaired = table.repair()
print(json.dumps([os.getpid(), first, second, alive, repaired]), flush=True)
sys.stdin.read()
os.kill(second, signal.SIGKILL)
"""


@contextmanager
def program_in_a_namespace(name: str) -> Iterator[tuple[list[Any], psutil.Process]]:
    """What PROGRAM prints, and its process as it is seen from here."""
    needs("unshare")
    unshare = ["unshare", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        assert "FORKKV_TEST_ALL" not in os.environ, "not allowed to make a PID namespace"
        pytest.skip("needs the right to make a PID namespace")
    command = [*unshare, sys.executable, "-c", PROGRAM, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        printed = json.loads(process.stdout.readline())
        (program,) = psutil.Process(process.pid).children()
        yield printed, program
        process.communicate()
        wait_until(lambda: not still_running([program]), "the program to end")


@pytest.fixture
def table(table_name: str) -> Iterator[forkkv.Table]:
    with forkkv.attach(table_name, create=True, memory="8mb") as made:
        yield made


def test_an_entry_whose_pid_was_given_to_another_process_is_dead(table: forkkv.Table) -> None:
    with program_in_a_namespace(table.name) as ((_, first, second, alive, repaired), _program):
        assert first == second
        assert alive == [False]
        assert repaired == 1
        assert table["k"] == b"by the first"


def test_life_and_death_are_seen_across_pid_namespaces(table: forkkv.Table) -> None:
    def stranger() -> dict[str, Any]:
        rows = read_stats(table.name)["processes"]
        found: dict[str, Any] = next(each for each in rows if each["pid"] != os.getpid())
        return found

    with program_in_a_namespace(table.name) as ((pid, *_), program):
        assert pid == stranger()["pid"] != program.pid
        assert stranger()["alive"]
        assert stranger()["cpu_seconds"] is None  # our process of that pid is somebody else
        program.kill()
        wait_until(lambda: not stranger()["alive"], "its death")
        assert table.repair() == 1
