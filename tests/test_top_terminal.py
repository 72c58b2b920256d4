"""forkkv top on a terminal, and where there is none."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result
from conftest import RunningServer
from programs import needs
from terminal import Terminal, forkkv

from forkkv import _core, objects
from forkkv.cli import main
from forkkv.perf.top import loop
from forkkv.perf.top.loop import Sampler

ALTERNATE, NORMAL = "\x1b[?1049h", "\x1b[?1049l"
StartTerminal = Callable[..., Terminal]


@pytest.fixture
def start_terminal() -> Iterator[StartTerminal]:
    started: list[Terminal] = []

    def start(*command: str) -> Terminal:
        started.append(Terminal(*command))
        return started[-1]

    yield start
    for terminal in started:
        terminal.close()


def top_of(name: str) -> list[str]:
    return forkkv("top", "--name", name, "--interval", "0.1")


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["top", *words])


def assert_given_back(terminal: Terminal) -> None:
    assert terminal.read_modes() == terminal.modes
    assert terminal.raw.rindex(NORMAL) > terminal.raw.find(ALTERNATE)
    assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rfind("\x1b[?25l")


def test_a_person_watches_sorts_opens_and_quits(
    server: RunningServer, start_terminal: StartTerminal
) -> None:
    with server.connect() as client:
        for _ in range(50):
            client.set("k", "v")
        terminal = start_terminal(*top_of(server.name))
        terminal.wait_for("worker-1")
        assert terminal.read_modes() != terminal.modes
        terminal.press("?")
        terminal.wait_for("reverse the order")
        terminal.press("?")
        terminal.press("c")
        terminal.wait_for("sorted by cmd/s")
        terminal.press("r")
        terminal.wait_for("sorted by cmd/s, reversed")
        terminal.press(">")
        terminal.wait_for("sorted by sys/c  ")
        terminal.press("<<<<" + "\x1b[B\x1b[B")
        terminal.wait_for("sorted by process")
        terminal.press("\n")
        assert "worker-0  pid" in terminal.wait_for("system call")
        terminal.press("\x1b")
        terminal.wait_for("table ")
        terminal.press(" ")
        terminal.wait_for("paused")
        terminal.resize(40, 10)
        terminal.press("+ ")
        terminal.wait_for("every 0.2 s")
        terminal.press("q")
        assert terminal.wait_end() == 0
    assert_given_back(terminal)


def test_a_server_that_goes_and_comes_back_is_waited_for(
    table_name: str, start_terminal: StartTerminal
) -> None:
    objects.create(table_name, 4 << 20).close()
    terminal = start_terminal(*top_of(table_name))
    terminal.wait_for(f"table {table_name[:20]}")
    objects.unlink(table_name)
    terminal.wait_for("Waiting for it.")
    terminal.press("j\nrc")  # with nothing to choose from
    terminal.wait_for("sorted by cmd/s")
    objects.create(table_name, 4 << 20).close()
    terminal.wait_for(f"table {table_name[:20]}")
    terminal.press("\x03")
    assert terminal.wait_end() == 0
    assert_given_back(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_ends_it_with_the_terminal_whole(
    number: signal.Signals, table: _core.Table, start_terminal: StartTerminal
) -> None:
    terminal = start_terminal("bash", "-c", 'ulimit -c 0; exec "$@"', "-", *top_of(table.name))
    terminal.wait_for("attached")
    terminal.program.send_signal(number)
    assert terminal.wait_end() == -number
    assert_given_back(terminal)


def test_an_error_leaves_the_terminal_whole(start_terminal: StartTerminal) -> None:
    program = """
from rich.console import Console
from forkkv.perf.top.screen import Screen
with Screen(Console()) as screen:
    screen.draw("drawn")
    screen.wait(None)
    raise ZeroDivisionError
"""
    terminal = start_terminal(sys.executable, "-c", program)
    terminal.wait_for("drawn")
    assert terminal.read_modes() != terminal.modes
    terminal.press("x")
    assert terminal.wait_end() == 1
    assert "ZeroDivisionError" in terminal.raw.split(NORMAL)[1]
    assert_given_back(terminal)


def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(
    table: _core.Table, start_terminal: StartTerminal
) -> None:
    needs("bash")
    terminal = start_terminal("bash", "--norc", "--noprofile", "--noediting", "-i")
    terminal.wait_for("prompt> ")
    terminal.press(" ".join(top_of(table.name)) + "\n")
    terminal.wait_for("sorted by")
    terminal.press("\x1a")
    terminal.wait_for("Stopped")
    assert_given_back(terminal)
    terminal.press("fg\n")
    terminal.wait_for("sorted by")
    assert ALTERNATE in terminal.raw
    terminal.press("q")
    terminal.wait_for("prompt> ")
    assert_given_back(terminal)
    terminal.press("exit 0\n")
    assert terminal.wait_end() == 0


def test_without_a_terminal_it_is_text_of_one_interval(table: _core.Table) -> None:
    result = run("--name", table.name, "--interval", "0.1")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].startswith("table test-")
    assert [line.split()[0] for line in lines[3:6]] == ["process", "server", "attached"]
    assert max(map(len, lines)) <= 80
    twice = run("--name", table.name, "--interval", "0.1", "--count", "2").output
    assert twice.count("table test-") == 2


def test_json_is_one_object_per_interval(table: _core.Table) -> None:
    result = run("--name", table.name, "--interval", "0.1", "--count", "2", "--json")
    first, second = map(json.loads, result.output.splitlines())
    assert second["time"] > first["time"]
    assert second["processes"][0]["pid"] == os.getpid()
    assert second["processes"][0]["lock_waits_per_second"] == 0


def test_a_program_that_reads_json_can_end_it_with_ctrl_c(table: _core.Table) -> None:
    with subprocess.Popen(
        [*top_of(table.name), "--json"],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as program:
        assert program.stdout is not None
        assert json.loads(program.stdout.readline())["table"]["name"] == table.name
        program.send_signal(signal.SIGINT)
        assert program.wait(20) == 0


def test_a_table_that_is_not_there_is_the_error_of_stats(table_name: str) -> None:
    for words in ([], ["--once"], ["--json"]):
        result = run("--name", table_name, *words)
        assert result.exit_code == 2
        assert f"there is no table '{table_name}'; start a server" in result.output


def test_a_table_that_goes_meanwhile_ends_text_and_not_json(
    table: _core.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def go(self: Sampler) -> None:
        self.problem = "gone"

    monkeypatch.setattr(loop.Sampler, "take", go)
    text = run("--name", table.name, "--interval", "0.1")
    assert (text.exit_code, text.output.strip()) == (2, "Error: gone")
    told = run("--name", table.name, "--interval", "0.1", "--json", "--count", "2")
    assert [json.loads(line)["problem"] for line in told.output.splitlines()[:2]] == ["gone"] * 2


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "0.01", "4000", "soon"])
def test_a_wrong_interval_is_a_usage_error(value: str) -> None:
    result = run("--interval", value)
    assert result.exit_code == 2
    assert "give 0.1 to 3600 seconds" in result.output or "valid float" in result.output
