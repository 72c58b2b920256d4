"""The command line: exit codes, texts, options and their variables."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import SHARED_MEMORY, RunningServer

from forkkv import objects
from forkkv.cli import main
from forkkv.config import option_names, variable


def run(*words: str, **variables: str) -> Result:
    return CliRunner().invoke(main, words, env=variables)


def test_every_option_shows_its_variable() -> None:
    text = " ".join(run("serve", "--help").output.split())
    for name in option_names():
        assert f"--{name.replace('_', '-')} " in text
        assert f"env var: {variable(name)}" in text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--memory", "lots"], "write 64mb"),
        (["--memory", "1kb"], "4mb or more"),
        (["--port", "99999"], "give 0 to 65535"),
        (["--port", "0"], "--unix PATH"),
        (["--workers", "0"], "give 1 to 64"),
        (["--workers", "many"], "not a valid integer"),
        (["--unix-mode", "rw"], "write 600 or 660"),
        (["--name", "a/b"], "cannot name a table"),
    ],
)
def test_a_wrong_option_is_a_usage_error_that_says_what_is_right(
    words: list[str], text: str
) -> None:
    result = run("serve", *words)
    assert result.exit_code == 2
    assert text in result.output


def test_a_variable_stands_for_an_option() -> None:
    result = run("serve", FORKKV_PORT="99999")
    assert result.exit_code == 2
    assert "give 0 to 65535" in result.output


def test_python_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "forkkv", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: forkkv ")
    for command in ("serve", "stats", "check", "unlink", "client", "report", "top"):
        assert f"  {command} " in done.stdout


def test_check_says_ok_with_counts(table_name: str) -> None:
    table = objects.create(table_name, 8 << 20)
    table.set("k", "v")
    table.close()
    result = run("check", table_name)
    assert result.exit_code == 0
    assert result.output.startswith("ok: 1 keys")


def test_check_names_the_first_broken_invariant() -> None:
    name = f"test-{os.getpid()}-broken"
    table = objects.create(name, 8 << 20)
    for number in range(2000):
        table.set(f"k{number}", "v" * 100)
    table.close()
    break_items(SHARED_MEMORY / f"forkkv.{name}")
    result = run("check", name)
    objects.unlink(name)
    assert result.exit_code == 1
    assert result.output.startswith("broken: ")


def break_items(path: Path) -> None:
    """Overwrites the keys where they are stored, so that the index leads to others."""
    data = path.read_bytes()
    first = data.index(b"v" * 100)
    with path.open("r+b") as file:
        file.seek(first - 16)
        file.write(b"\xa5" * 100)


@pytest.mark.parametrize("command", ["check", "unlink"])
def test_no_such_table_is_exit_code_2(command: str, table_name: str) -> None:
    result = run(command, table_name)
    assert result.exit_code == 2
    assert f"there is no table '{table_name}'" in result.output


def test_stats_of_no_table_is_exit_code_2(table_name: str) -> None:
    assert run("stats", "--name", table_name).exit_code == 2


def test_unlink_removes_a_table(table_name: str) -> None:
    objects.create(table_name, 8 << 20).close()
    assert run("unlink", table_name).exit_code == 0
    assert not objects.exists(table_name)


def test_unlink_refuses_while_a_server_serves_it(server: RunningServer) -> None:
    result = run("unlink", server.name)
    assert result.exit_code == 1
    assert f"served by process {server.process.pid}" in result.output
    assert objects.exists(server.name)
    assert run("unlink", server.name, "--force").exit_code == 0
    assert not objects.exists(server.name)
    assert server.process.wait(20) == 1


def test_unlink_removes_what_cannot_be_opened(table_name: str) -> None:
    path = SHARED_MEMORY / f"forkkv.{table_name}"
    path.write_bytes(b"not a table" * 1000)
    path.chmod(0o600)
    assert run("check", table_name).exit_code == 2
    assert run("unlink", table_name).exit_code == 0
    assert not path.exists()


def test_stats_as_json_and_as_text(server: RunningServer) -> None:
    reading = json.loads(run("stats", "--name", server.name, "--json").output)
    assert [process["role"] for process in reading["processes"]].count("worker") == 2
    text = run("stats", "--name", server.name).output
    assert text.splitlines()[0].split()[:3] == ["process", "pid", "state"]
    assert f"table {server.name}: 0 keys" in text


def test_stats_watch_goes_on_until_it_is_interrupted(server: RunningServer) -> None:
    command = [sys.executable, "-m", "forkkv", "stats", "--name", server.name, "--json", "--watch"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as watching:
        assert watching.stdout is not None
        readings = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0
    assert readings[1]["time"] > readings[0]["time"]
