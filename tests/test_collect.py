"""perf/collect.sh: takes what counts here, says why if it is not perf, and leaves nothing behind.

A table is a real one, the perf one that is made up; test_collect_counts.py has what is real.
"""

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
from conftest import wait_until
from fake_perf import FAILURES
from lab import DEADLINE, Lab, new_lab, read_until
from programs import needs

import forkkv
from forkkv import objects
from forkkv.perf import COLLECT, bpftrace, child, crosscheck, perf_stat, targets
from forkkv.perf.process import Process
from forkkv.perf.run import load

SELF = f"attached-{os.getpid()}"  # the test, as a process of its table
QUICK = ("--seconds", "0.1", "--interval", "0")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with new_lab(tmp_path) as made:
        yield made


@pytest.fixture
def attached(table_name: str, lab: Lab) -> Iterator[str]:
    """The name of a table that the test itself has open, and that collect takes by itself."""
    lab.environment["FORKKV_NAME"] = table_name
    with forkkv.attach(table_name, create=True, memory="8mb"):
        yield table_name


def by_label(lab: Lab) -> dict[str, Process]:
    return {process.label: process for process in load(lab.out).processes}


@pytest.mark.parametrize(
    ("shell", "number"),
    [("", signal.SIGINT), ("trap '' INT  # as for a job of a script", signal.SIGINT),
     ("", signal.SIGTERM), ("", signal.SIGHUP)],
    ids=["ctrl-c", "in the background", "terminated", "terminal closed"],
)  # fmt: skip
def test_a_signal_ends_the_run_early_and_everything_is_written(
    lab: Lab, shell: str, number: int
) -> None:
    lab.fake_perf()
    running = lab.start_collect("--pid", str(lab.idle()), shell=shell)
    read_until(running, "Ctrl-C ends it")
    running.send_signal(number)
    rest, _ = running.communicate(timeout=DEADLINE)
    assert running.returncode == 0, rest
    assert lab.run["window"]["ended_by"] == "interrupt"
    assert [process.calls["read"].value for process in load(lab.out).processes] == [7]


def test_ctrl_c_on_a_terminal_reaches_the_collector_and_not_its_perfs(
    lab: Lab, attached: str
) -> None:
    lab.fake_perf()
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
    assert lab.process(SELF)["source"] == "perf"
    assert None not in [reading["stats"] for reading in lab.run["readings"]]


def test_ended_while_it_asks_for_perf_it_leaves_no_directory(lab: Lab) -> None:
    lab.script("perf", f"echo >{lab.home}/asked; exec sleep 0.3")
    running = lab.start_collect("--pid", str(lab.idle()))
    wait_until((lab.home / "asked").exists, "the question")
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=DEADLINE)
    assert running.returncode == 128 + signal.SIGTERM
    assert not lab.out.exists()


def test_clients_still_running_at_the_end_of_the_seconds_are_ended(lab: Lab, attached: str) -> None:
    status, said = lab.collect("--source", "forkkv", *QUICK, "--client", "sleep 1000")
    assert status == 0, said
    assert lab.run["window"]["ended_by"] == "seconds"
    assert lab.process("client-1")["exit"] == 128 + signal.SIGINT


def test_the_words_of_a_client_command_are_split_as_a_shell_would(lab: Lab, attached: str) -> None:
    status, said = lab.collect("--source", "forkkv", "--client", "bash -c 'echo \"$0\"' 'a  b'")
    assert status == 0, said
    assert (lab.out / "client-1.log").read_text() == "a  b\n"


@pytest.mark.parametrize("length", [[], ["--seconds", "0.3"]])
def test_a_failing_client_is_lost_in_words_with_its_exit_code(
    lab: Lab, attached: str, length: list[str]
) -> None:
    status, said = lab.collect("--source", "forkkv", *length, "--client", "bash -c 'exit 3'")
    assert status == 7
    assert "Lost: client-1 ended with exit code 3; see client-1.log" in said


def test_an_existing_result_is_not_written_over(lab: Lab, attached: str) -> None:
    lab.out.mkdir()
    (lab.out / "run.json").write_text("kept")
    status, said = lab.collect(*QUICK)
    assert status == 4
    assert "is not empty; remove it, or choose another by --out" in said
    assert (lab.out / "run.json").read_text() == "kept"


def test_a_place_where_nothing_can_be_made_is_named(lab: Lab, attached: str) -> None:
    status, said = lab.collect(*QUICK, "--out", "/proc/nowhere")
    assert status == 4
    assert "cannot make the directory /proc/nowhere" in said


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--seconds"], "'--seconds' requires an argument"),
        (["--seconds", "long"], "'long' is not a valid float range"),
        (["--seconds", "0"], "0.0 is not in the range x>0"),
        (["--interval", "0.01"], "--interval takes 0.1 seconds or more, or 0 for none"),
        (["--source", "magic"], "'auto', 'perf', 'bpftrace', 'forkkv', 'strace'"),
        (["--sceonds", "1"], "Did you mean '--seconds'?"),
        (["--pid", "-1"], "is not in the range 1<=x"),
        (["--client-pid", "0"], "is not in the range 1<=x"),
        (["--client", "no-such-program"], "there is no such program; is it on PATH?"),
        (["--client", "a 'b"], "No closing quotation"),
        (["--client", ""], "there is no such program"),
    ],
)
def test_wrong_usage_says_what_is_right(lab: Lab, arguments: list[str], answer: str) -> None:
    status, said = lab.collect(*arguments)
    assert status == 2
    assert answer in " ".join(said.split())
    assert not lab.out.exists()


def test_help_tells_options_and_exit_codes(lab: Lab) -> None:
    running = lab.start_collect("--help")
    said, _ = running.communicate(timeout=DEADLINE)
    assert running.returncode == 0
    for word in ("--client-pid", "--interval", "Exit codes:", "7 written, but something was lost"):
        assert word in said


def test_without_the_forkkv_command_it_says_how_to_get_it(lab: Lab) -> None:
    (lab.bin / "forkkv").unlink()
    running = lab.start_collect(*QUICK)
    said, _ = running.communicate(timeout=DEADLINE)
    assert running.returncode == 3
    assert "activate its environment" in said


def test_without_a_table_the_reason_that_forkkv_gives_is_passed_on(
    lab: Lab, table_name: str
) -> None:
    status, said = lab.collect("--name", table_name, *QUICK)
    assert status == 3
    assert f"there is no table '{table_name}'" in said
    assert not lab.out.exists()
    status, said = lab.collect("--name", "a/b", *QUICK)
    assert status == 3
    assert "a/b" in said


def test_a_table_without_a_server_is_refused_with_the_next_step(lab: Lab, table_name: str) -> None:
    objects.create(table_name, 4 << 20).close()
    status, said = lab.collect("--name", table_name, *QUICK)
    assert status == 3
    assert f"table {table_name} has no running server; start one: forkkv serve --name" in said


@pytest.mark.parametrize("option", ["--pid", "--client-pid"])
def test_a_pid_that_no_process_has_is_refused(lab: Lab, attached: str, option: str) -> None:
    status, said = lab.collect(option, str(2**22), *QUICK)
    assert status == 3
    assert "there is no process 4194304" in said
    assert "ps -ef lists" in said
    assert not lab.out.exists()


def test_a_process_is_counted_once(lab: Lab, attached: str) -> None:
    lab.fake_perf()
    pid = str(lab.idle())
    status, said = lab.collect("--pid", pid, "--pid", pid, *QUICK)
    assert status == 0, said
    assert list(by_label(lab)) == [f"sleep-{pid}"]  # and not the table of FORKKV_NAME
    status, said = lab.collect("--client-pid", str(os.getpid()), *QUICK)
    assert status == 2
    assert f"one process, counted twice: {SELF} and client-1" in said


def test_the_children_of_a_prefork_parent_are_counted_too(lab: Lab) -> None:
    lab.fake_perf()
    parent = lab.start("bash", "-c", "sleep 1000 & sleep 1000 & wait")
    wait_until(lambda: len(psutil.Process(parent).children()) == 2, "its workers")
    first, second = (each.pid for each in psutil.Process(parent).children())
    try:
        status, said = lab.collect("--pid", str(parent), *QUICK)
        assert status == 0, said
        roles = [(process.label, process.role) for process in load(lab.out).processes]
        assert roles == [(f"bash-{parent}", "master"), (f"sleep-{first}", "worker"),
                         (f"sleep-{second}", "worker")]  # fmt: skip
        assert {process.calls["read"].value for process in load(lab.out).processes} == {7}
    finally:
        for pid in (first, second):
            os.kill(pid, signal.SIGKILL)


def test_a_run_on_processes_ends_with_them(lab: Lab) -> None:
    lab.fake_perf()
    running = lab.start_collect("--pid", str(lab.idle()))
    read_until(running, "Ctrl-C ends it")
    lab.children[0].kill()  # a zombie now: that is an end, too
    said, _ = running.communicate(timeout=DEADLINE)
    assert lab.run["window"]["ended_by"] == "processes", said
    assert "ended during the window, and was counted until then" in said


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
def test_a_perf_that_cannot_count_is_explained_and_replaced(
    lab: Lab, attached: str, mode: str
) -> None:
    lab.fake_perf(mode)
    code, problem, remedy = REFUSALS[mode]
    status, said = lab.collect(*QUICK, "--source", "perf")
    assert status == code, said
    assert not lab.out.exists()
    status, said = lab.collect(*QUICK)
    assert status == 0, said
    assert f"perf cannot be used: {lab.run['counter']['problem']}." in said
    assert f"To allow it: {lab.run['counter']['remedy']}." in said
    assert "Falling back to own counters" in said
    assert problem in lab.run["counter"]["problem"]
    assert remedy in lab.run["counter"]["remedy"]
    assert lab.run["counter"]["source"] == lab.process(SELF)["source"] == "forkkv"


def test_a_missing_perf_is_explained_and_replaced(lab: Lab, attached: str) -> None:
    assert lab.collect(*QUICK, "--source", "perf")[0] == 5
    status, said = lab.collect(*QUICK)
    assert status == 0, said
    assert "perf is not installed" in said
    assert "linux-perf" in said
    assert "Falling back to own counters" in said


def test_own_counters_cannot_count_what_is_not_forkkv(lab: Lab) -> None:
    pid = str(lab.idle())
    for arguments, code in (((), 5), (("--source", "forkkv"), 2)):
        status, said = lab.collect("--pid", pid, *QUICK, *arguments)
        assert status == code
        assert "only perf, bpftrace or strace can count processes that are not forkkv's" in said
        assert "Falling back" not in said
        assert not lab.out.exists()


@pytest.mark.parametrize("source", ["bpftrace", "strace"])
def test_a_source_that_is_missing_is_named_with_the_remedy(
    lab: Lab, attached: str, source: str
) -> None:
    status, said = lab.collect(*QUICK, "--source", source)
    assert status == 5
    assert f"{source} cannot be used: {source} is not installed." in said
    assert "To allow it: " in said


def test_after_perf_comes_bpftrace_if_it_works_here(
    lab: Lab, attached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bpftrace that answers each mark at once, and has counted nothing."""
    monkeypatch.setattr(bpftrace, "probe", lambda: (frozenset(), ""))
    shows = "; ".join(f"echo mark {n}; echo done {n}" for n in (1, 3))
    lab.script("bpftrace", f"{shows}; exec sleep 1000")
    monkeypatch.setattr(bpftrace, "STARTS_WITHIN", 0.1)  # nothing more will come
    status, said = lab.collect(*QUICK)
    assert status == 0, said
    assert "perf cannot be used: perf is not installed." in said
    assert "Falling back to bpftrace." in said
    assert lab.process(SELF)["source"] == "bpftrace"


def test_a_bpftrace_that_may_list_but_not_count_is_refused(
    lab: Lab, attached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = str(Path("/proc/self/ns/pid").readlink())
    monkeypatch.setattr(bpftrace, "INITIAL_NAMESPACE", here)
    lists = "echo tracepoint:syscalls:sys_enter_close; exit 0"
    fails = "echo 'WARNING: limit\nERROR: no map: Operation not permitted' >&2; exit 1"
    lab.script("bpftrace", f'[ "$1" = -l ] && {{ {lists}; }}; {fails}')
    status, said = lab.collect(*QUICK, "--source", "bpftrace")
    assert status == 6
    assert "bpftrace cannot be used: it says: no map: Operation not permitted." in said
    monkeypatch.setattr(bpftrace, "INITIAL_NAMESPACE", "another")
    assert "and this is a container" in lab.collect(*QUICK, "--source", "bpftrace")[1]
    status, said = lab.collect(*QUICK)
    assert status == 0, said
    assert "Falling back to own counters" in said


def test_a_call_that_the_kernel_lacks_is_left_out_and_named(lab: Lab, attached: str) -> None:
    lab.fake_perf("no-accept")
    status, said = lab.collect(*QUICK)
    assert status == 0, said
    assert lab.run["events_missing"] == ["accept"]
    assert "accept" not in by_label(lab)[SELF].calls
    assert by_label(lab)[SELF].calls["accept4"].value == 7


def test_a_process_that_has_ended_does_not_spoil_the_others(lab: Lab, attached: str) -> None:
    lab.fake_perf("one-dead")
    lab.environment["DEAD_PID"] = str(os.getpid())
    pid = lab.idle()
    status, said = lab.collect("--name", attached, "--pid", str(pid), *QUICK)
    assert status == 7
    assert f"Lost: {SELF} (pid {os.getpid()}) not counted by perf: the process had ended" in said
    assert lab.process(f"sleep-{pid}")["source"] == "perf"
    assert lab.process(SELF)["source"] == "forkkv"


def test_an_older_perf_counts_too_and_its_window_is_marked_as_not_aligned(
    lab: Lab, attached: str
) -> None:
    lab.fake_perf("old")
    status, said = lab.collect(*QUICK)
    assert status == 0, said
    assert lab.run["counter"]["aligned"] is False
    assert by_label(lab)[SELF].calls["read"].value == 7
    assert crosscheck.check(load(lab.out)) == []


def test_a_perf_that_does_not_end_is_killed_and_its_loss_is_said(
    lab: Lab, attached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "ENDS_WITHIN", 0.2)
    lab.fake_perf("stubborn")
    status, said = lab.collect("--seconds", "0.1")
    assert status == 7, said
    assert (
        f"Lost: {SELF} (pid {os.getpid()}) not counted by perf: it ended with exit code 137" in said
    )
    assert lab.process(SELF)["source"] == "forkkv"


def test_a_perf_that_does_not_answer_has_not_counted(
    lab: Lab, attached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perf_stat, "ANSWERS_WITHIN", 0.5)
    lab.fake_perf("mute")
    status, said = lab.collect(*QUICK)
    assert status == 7, said
    assert "not counted by perf: perf had not begun to count it" in said
    assert lab.process(SELF)["source"] == "forkkv"


def test_a_perf_that_leaves_as_the_window_closes_has_not_counted_its_last_interval(
    lab: Lab, attached: str
) -> None:
    lab.fake_perf("leaves")
    status, said = lab.collect("--seconds", "0.1", "--interval", "1")
    assert status == 7, said
    assert "the process ended as the window closed, and perf left its last interval out" in said
    assert lab.process(SELF)["source"] == "forkkv"


def test_processes_that_are_not_seen_from_here_count_themselves(
    lab: Lab, attached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "pid_here", lambda pid, start_ticks: None)
    lab.fake_perf()
    status, said = lab.collect(*QUICK)
    assert status == 0, said
    assert "all the processes are in another PID namespace" in said
    assert "collect on the host" in said
    assert lab.process(SELF)["source"] == "forkkv"
    pid = lab.idle()
    status, said = lab.collect(*QUICK, "--name", attached, "--pid", str(pid),
                               "--out", str(lab.home / "other"))  # fmt: skip
    assert status == 7
    assert f"{SELF} not counted by perf: it is in another PID namespace" in said


def test_each_successor_has_a_label_of_its_own(lab: Lab, table_name: str) -> None:
    lab.fake_perf()
    lab.environment["FORKKV_NAME"] = table_name
    script = "import forkkv, sys; t = forkkv.attach(sys.argv[1]); sys.stdin.read()"
    with forkkv.attach(table_name, create=True, memory="8mb"):
        running = lab.start_collect()
        read_until(running, "Ctrl-C ends it")
        labels = []
        for _ in range(2):
            come = subprocess.Popen([sys.executable, "-c", script, table_name],
                                    stdin=subprocess.PIPE)  # fmt: skip
            labels.append(f"attached-{come.pid}")
            read_until(running, f"attached-{come.pid} came, and is counted from here on.")
            come.communicate()
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=DEADLINE)
    assert running.returncode == 7
    for label in labels:
        assert lab.process(label)["source"] == "perf"
        assert f"{label} (pid {label[9:]}) started during the window, and ended in it" in said


def test_the_script_passes_shellcheck() -> None:
    needs("shellcheck")
    done = subprocess.run(["shellcheck", COLLECT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_script_stays_short_enough_to_read() -> None:
    lines = COLLECT.read_text().splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 100
