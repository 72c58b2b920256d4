"""perf/collect.sh: counts exactly, says why when it cannot, and leaves nothing behind."""

import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from conftest import RunningServer
from fake_perf import FAILURES
from lab import DEADLINE, TESTS, Lab, process_entry
from programs import needs

from forkkv.perf import COLLECT, crosscheck
from forkkv.perf.quantities import of_server
from forkkv.perf.run import Process, load

CONNECTS, WRITES = 23, 101  # primes: no other count of the run is likely to be the same


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.close()
    # Its perfs write below this directory, so their command lines name it.
    left = [p.info for p in psutil.process_iter(["pid", "cmdline"])
            if any(str(tmp_path) in word for word in p.info["cmdline"] or [])]  # fmt: skip
    assert left == [], "collect.sh left processes behind"


def one_process(lab: Lab) -> None:
    """The test itself stands in for a worker that does nothing."""
    lab.serve(process_entry("worker", 0, os.getpid()))


def client(port: int) -> str:
    return f"{sys.executable} {TESTS / 'mini_client.py'} {port} {CONNECTS} {WRITES}"


def by_label(lab: Lab) -> dict[str, Process]:
    return {process.label: process for process in load(lab.out).processes}


def wait_for_text(running: subprocess.Popen[str], text: str) -> str:
    assert running.stdout is not None
    said = ""
    while text not in said:
        line = running.stdout.readline()
        assert line, f"ended without saying {text!r}: {said}"
        said += line
    return said


def test_a_known_workload_is_counted_exactly_or_the_fallback_says_why(lab: Lab) -> None:
    lab.link("perf")
    entry, port = lab.start_worker()
    lab.serve(entry)
    status, said = lab.collect("--client", client(port))
    assert status == 0, said
    run = load(lab.out)
    worker, made = by_label(lab)["worker-0"], by_label(lab)["client-1"]
    assert worker.calls["accept4"].value == CONNECTS
    assert worker.calls["write"].value == WRITES
    assert worker.calls["read"].value == WRITES + CONNECTS  # each connection's end is a read too
    if run.facts["counter"] == "perf":
        assert made.calls["connect"].value == CONNECTS
        assert made.calls["write"].value == WRITES
        checks = crosscheck.check(run)
        assert {check.call for check in checks} >= {"read", "write", "accept4", "close"}
        assert {check.difference for check in checks if check.call != "epoll_wait"} == {0}
        assert all(check.agrees for check in checks)
    else:
        assert "perf cannot be used: " in said
        assert "To allow it: " in said
        assert "Falling back to forkkv's own counters" in said
        assert made.source == "none"


def test_forkkv_and_perf_count_the_same_calls(lab: Lab, server: RunningServer) -> None:
    lab.link("perf")
    lab.script("forkkv", f'exec {sys.executable} -m forkkv "$@"')
    status, said = lab.collect("--name", server.name, "--client", client(server.port))
    assert status == 0, said
    run = load(lab.out)
    assert [process.role for process in run.server] == ["master", "keeper", "worker", "worker"]
    known = of_server(run)
    assert (known["commands"], known["accepted"]) == (WRITES, CONNECTS)
    assert (known["reads"], known["writes"]) == (WRITES + CONNECTS, WRITES)
    if run.facts["counter"] == "perf":
        checks = [row for row in crosscheck.check(run) if row.process.startswith("worker")]
        assert {row.call for row in checks} >= {"read", "write", "accept4", "close", "epoll_wait"}
        assert [row for row in checks if not row.agrees] == []


def test_ctrl_c_ends_the_run_early_and_everything_is_written(lab: Lab) -> None:
    lab.link("perf")
    entry, _ = lab.start_worker()
    lab.serve(entry)
    running = lab.start_collect()
    wait_for_text(running, "Ctrl-C ends it")
    running.send_signal(signal.SIGINT)
    rest, _ = running.communicate(timeout=DEADLINE)
    assert running.returncode == 0, rest
    assert lab.run["window"]["ended_by"] == "interrupt"
    assert "read" in by_label(lab)["worker-0"].calls


def test_it_can_be_interrupted_although_a_script_started_it_in_the_background(lab: Lab) -> None:
    one_process(lab)
    running = lab.start_collect(
        "--source", "forkkv", shell="trap '' INT  # as for a job of a script"
    )
    wait_for_text(running, "Ctrl-C ends it")
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=DEADLINE)
    assert running.returncode == 0, said
    assert lab.run["window"]["ended_by"] == "interrupt"


def test_ctrl_c_on_a_terminal_reaches_the_script_and_not_its_perfs(lab: Lab) -> None:
    lab.fake_perf()
    one_process(lab)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(shutil.which("bash") or "", ["bash", str(COLLECT), "--out", str(lab.out)],
                  lab.environment)  # fmt: skip
    said = b""
    while b"Ctrl-C ends it" not in said:
        said += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    while b"Read it with" not in said:
        said += os.read(terminal, 4096)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
    os.close(terminal)
    assert lab.run["window"]["ended_by"] == "interrupt"
    assert lab.process("worker-0")["source"] == "perf"
    assert None not in lab.run["snapshots"].values()


def test_clients_still_running_at_the_end_of_the_seconds_are_ended(lab: Lab) -> None:
    lab.fake_perf()
    one_process(lab)
    status, said = lab.collect("--source", "forkkv", "--seconds", "0.3", "--client", "sleep 1000")
    assert status == 0, said
    assert lab.run["window"]["ended_by"] == "seconds"
    assert lab.process("client-1")["exit"] == 128 + signal.SIGINT


def test_the_words_of_a_client_command_are_split_as_a_shell_would(lab: Lab) -> None:
    one_process(lab)
    status, said = lab.collect("--source", "forkkv", "--client", "bash -c 'echo \"$0\"' 'a  b'")
    assert status == 0, said
    assert (lab.out / "client-1.log").read_text() == "a  b\n"


def test_a_failing_client_is_lost_in_words_with_its_exit_code(lab: Lab) -> None:
    one_process(lab)
    status, said = lab.collect("--source", "forkkv", "--client", "bash -c 'exit 3'")
    assert status == 7
    assert "Lost: client-1 ended with exit code 3; see client-1.log" in said


def test_an_existing_result_is_not_written_over(lab: Lab) -> None:
    one_process(lab)
    lab.out.mkdir()
    (lab.out / "run.json").write_text("kept")
    status, said = lab.collect("--seconds", "1")
    assert status == 4
    assert "is not empty; remove it, or choose another by --out" in said
    assert (lab.out / "run.json").read_text() == "kept"


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--seconds"], "--seconds needs a value"),
        (["--seconds", "long"], "--seconds takes a number such as 5 or 0.5"),
        (["--source", "magic"], "--source is one of: auto, perf, forkkv"),
        (["--sceonds", "1"], "unknown argument '--sceonds'; see collect.sh --help"),
    ],
)
def test_wrong_usage_says_what_is_right(lab: Lab, arguments: list[str], answer: str) -> None:
    status, said = lab.collect(*arguments)
    assert status == 2
    assert answer in said


def test_help_is_the_head_of_the_script(lab: Lab) -> None:
    status, said = lab.collect("--help")
    assert status == 0
    for title in ("USAGE:", "REQUIREMENTS:", "OVERHEAD:", "EXIT CODES:"):
        assert title in said
    assert max(map(len, said.splitlines())) <= 100


def test_without_the_forkkv_command_it_says_how_to_get_it(lab: Lab) -> None:
    (lab.bin / "forkkv").unlink()
    status, said = lab.collect("--seconds", "1")
    assert status == 3
    assert "activate its environment" in said


def test_a_python_without_forkkv_is_named_with_the_way_out(lab: Lab) -> None:
    lab.script("python3", "exit 1")
    status, said = lab.collect("--seconds", "1")
    assert status == 3
    assert "python3 does not know forkkv; activate its environment" in said


def test_without_a_table_the_reason_that_forkkv_gives_is_passed_on(lab: Lab) -> None:
    status, said = lab.collect("--seconds", "1")
    assert status == 3
    assert "there is no table default; start a server" in said
    assert not lab.out.exists()


def test_a_table_without_a_server_is_refused_with_the_next_step(lab: Lab) -> None:
    lab.serve(process_entry("attached", 0, os.getpid()), process_entry("worker", 0, 1, alive=False))
    status, said = lab.collect("--seconds", "1")
    assert status == 3
    assert "table default has no running server; start one: forkkv serve --name default" in said


REFUSALS = {  # the fake perf's mode: collect.sh's exit code, problem, remedy
    "tracefs": (6, "/sys/kernel/tracing are not readable", "mount -o remount,mode=755"),
    "unmounted": (6, "tracefs is not mounted", "mount -t tracefs"),
    "untraceable": (5, "no tracepoints for system calls", "CONFIG_FTRACE_SYSCALLS"),
    "paranoid": (6, "perf_event_paranoid", "setcap cap_perfmon,cap_dac_read_search=ep"),
    "kernel-left-out": (6, "perf_event_paranoid", "setcap cap_perfmon,cap_dac_read_search=ep"),
    "wrapper": (5, "not for this kernel", "linux-tools-"),
    "gone": (6, "the process that was probed had ended", "forkkv stats"),
    "crash": (5, "perf failed with exit code 139: Segmentation fault", "try perf stat"),
}


def test_every_failure_of_the_fake_perf_has_an_expectation() -> None:
    assert REFUSALS.keys() == FAILURES.keys()


@pytest.mark.parametrize("mode", REFUSALS)
def test_a_perf_that_cannot_count_is_explained_and_replaced(lab: Lab, mode: str) -> None:
    lab.fake_perf(mode)
    one_process(lab)
    status, said = lab.collect("--seconds", "0.1")
    assert status == 0, said
    _, problem, remedy = REFUSALS[mode]
    assert problem in said
    assert remedy in said
    assert lab.run["counter"] == "forkkv"
    assert problem in lab.run["perf"]["problem"]
    assert lab.process("worker-0")["source"] == "forkkv"


@pytest.mark.parametrize("mode", REFUSALS)
def test_with_source_perf_each_failure_has_its_exit_code(lab: Lab, mode: str) -> None:
    lab.fake_perf(mode)
    one_process(lab)
    status, said = lab.collect("--seconds", "0.1", "--source", "perf")
    assert status == REFUSALS[mode][0], said
    assert not lab.out.exists()


def test_a_missing_perf_is_explained_and_replaced(lab: Lab) -> None:
    one_process(lab)
    status, said = lab.collect("--seconds", "0.1")
    assert status == 0, said
    assert "perf is not installed" in said
    assert "linux-perf" in said
    assert lab.collect("--source", "perf", "--out", str(lab.home / "other"))[0] == 5


def test_a_call_that_the_kernel_lacks_is_left_out_and_named(lab: Lab) -> None:
    lab.fake_perf("no-accept")
    one_process(lab)
    status, said = lab.collect("--seconds", "0.1")
    assert status == 0, said
    assert lab.run["events_missing"] == ["accept"]
    assert "accept" not in by_label(lab)["worker-0"].calls
    assert by_label(lab)["worker-0"].calls["accept4"].value == 7


def test_a_process_that_has_ended_does_not_spoil_the_others(lab: Lab) -> None:
    lab.fake_perf("one-dead")
    lab.environment["DEAD_PID"] = "4194302"
    lab.serve(process_entry("worker", 0, os.getpid()), process_entry("worker", 1, 4194302))
    status, said = lab.collect("--seconds", "0.1")
    assert status == 7
    assert "Lost: worker-1 (pid 4194302) not counted by perf: the process had ended" in said
    assert lab.process("worker-0")["source"] == "perf"
    assert lab.process("worker-1")["source"] == "forkkv"


def test_a_worker_replaced_during_the_window_is_shown_by_its_own_counters(lab: Lab) -> None:
    lab.fake_perf()
    one_process(lab)
    running = lab.start_collect()
    wait_for_text(running, "Ctrl-C ends it")
    new = process_entry("worker", 0, os.getppid(), commands=5, syscalls={"read": 11})
    lab.serve(new)
    running.send_signal(signal.SIGTERM)
    said, _ = running.communicate(timeout=DEADLINE)
    assert running.returncode == 7
    assert "ended during the window, and was counted until then" in said
    assert f"worker-0-new (pid {os.getppid()}) started during the window" in said
    assert by_label(lab)["worker-0-new"].own_calls["read"].least in (0, 11)


def test_an_older_perf_counts_too_and_its_window_is_marked_as_not_aligned(lab: Lab) -> None:
    lab.fake_perf("old")
    one_process(lab)
    status, said = lab.collect("--seconds", "0.1")
    assert status == 0, said
    assert lab.run["perf"]["aligned"] is False
    assert crosscheck.check(load(lab.out)) == []


def test_a_perf_that_does_not_end_is_killed_and_its_loss_is_said(lab: Lab) -> None:
    lab.fake_perf("stubborn")
    one_process(lab)
    status, said = lab.collect("--seconds", "0.1")
    assert status == 7, said
    assert "worker-0 (pid" in said
    assert "not counted by perf: perf ended with exit code 137" in said


def test_the_script_passes_shellcheck() -> None:
    needs("shellcheck")
    done = subprocess.run(["shellcheck", COLLECT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_script_stays_short_enough_to_read() -> None:
    lines = COLLECT.read_text().splitlines()
    assert len(lines) <= 260
    assert max(map(len, lines)) <= 100
