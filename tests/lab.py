"""What the tests of the lab share: a directory with a PATH of its own, perhaps with a fake perf."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
from click.testing import CliRunner
from conftest import wait_until
from mini_server import CALLS, read_counters

from forkkv.perf import COLLECT
from forkkv.perf.collect import collect

TESTS = Path(__file__).parent
DEADLINE = 30.0

Json = dict[str, Any]


def process_entry(role: str, index: int, pid: int, **changes: Any) -> Json:
    """One process as `forkkv stats --json` prints it."""
    entry: Json = {"role": role, "index": index, "pid": pid, "alive": True, "state": "serving"}
    entry |= {"generation": 1, "start_ticks": 1, "connections": 0, "commands": 0, "hits": 0}
    entry |= {"misses": 0, "lock_waits": 0, "cpu_seconds": 0.0, "rss_bytes": 0, "counters": {}}
    return entry | {"syscalls": dict.fromkeys(CALLS, 0)} | changes


def read_until(running: subprocess.Popen[str], text: str) -> str:
    """What a program has said up to the line with `text`; fails if it ends without."""
    assert running.stdout is not None
    said = ""
    while text not in said:
        line = running.stdout.readline()
        assert line, f"ended without saying {text!r}: {said}"
        said += line
    return said


@dataclass
class Lab:
    """A directory with its own PATH: the forkkv command, and what the test puts there."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    children: list[subprocess.Popen[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bin.mkdir(parents=True)
        self.scratch.mkdir()
        for tool in ("bash", "sleep", "true"):
            self.link(tool)
        self.script("forkkv", f'exec {sys.executable} -m forkkv "$@"')
        self.environment = {**os.environ, "PATH": str(self.bin), "TMPDIR": str(self.scratch)}

    @property
    def bin(self) -> Path:
        return self.home / "bin"

    @property
    def out(self) -> Path:
        return self.home / "out"

    @property
    def scratch(self) -> Path:
        """Where temporary files go."""
        return self.home / "scratch"

    @property
    def run(self) -> Json:
        """What the collector wrote."""
        return dict(json.loads((self.out / "run.json").read_text()))

    def process(self, label: str) -> Json:
        """The entry of one process in run.json."""
        return next(entry for entry in self.run["processes"] if entry["label"] == label)

    def link(self, tool: str) -> None:
        """Puts a real program on the PATH, if this machine has it."""
        if found := shutil.which(tool):
            (self.bin / tool).symlink_to(found)

    def script(self, name: str, body: str) -> None:
        """Puts a shell script on the PATH."""
        file = self.bin / name
        file.write_text(f"#!{shutil.which('bash')}\n{body}\n")
        file.chmod(0o755)

    def fake_perf(self, mode: str = "") -> None:
        """Puts the perf that is made up on the PATH; see fake_perf.py for the modes."""
        self.script("perf", f'exec {sys.executable} -S {TESTS / "fake_perf.py"} "$@"')
        self.environment["FAKE_PERF"] = mode

    def start(self, *words: str) -> int:
        """Starts a program that is ended with the test; returns its pid."""
        self.children.append(subprocess.Popen(words, stdin=subprocess.DEVNULL))
        return self.children[-1].pid

    def idle(self) -> int:
        """The pid of a program that does nothing."""
        return self.start("sleep", "1000")

    def start_mini_server(self) -> tuple[int, int, Path]:
        """Starts a server that is not forkkv: its pid, its port, and the file of its counters."""
        counters, port = self.home / "counters", self.home / "port"
        counters.write_bytes(bytes(8 * len(CALLS)))
        pid = self.start(sys.executable, str(TESTS / "mini_server.py"), str(counters), str(port))
        wait_until(lambda: port.exists() and read_counters(counters)["epoll_wait"] == 1, "a server")
        return pid, int(port.read_text()), counters

    def start_collect(self, *arguments: str, shell: str = "") -> subprocess.Popen[str]:
        """Starts collect.sh with a pipe for what it says; `shell` runs before it."""
        bash = shutil.which("bash") or "bash"
        command = [bash, "-c", f'{shell}\nexec bash "$@"', bash, str(COLLECT)]
        return subprocess.Popen(
            [*command, "--out", str(self.out), *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def collect(self, *arguments: str) -> tuple[int, str]:
        """Runs `forkkv collect` in this process: exit code and what it said."""
        with mock.patch("tempfile.tempdir", str(self.scratch)):
            done = CliRunner(env=self.environment).invoke(
                collect, ["--out", str(self.out), *arguments]
            )
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    def close(self) -> None:
        """Ends what was started. Fails when the collector has left a process or a file."""
        for child in self.children:
            child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.communicate(timeout=DEADLINE)
        # Whatever it starts writes below this directory, so that the command lines name it.
        left = [p.info for p in psutil.process_iter(["pid", "cmdline"])
                if any(str(self.home) in word for word in p.info["cmdline"] or [])]  # fmt: skip
        assert left == [], "the collector left processes behind"
        assert list(self.scratch.iterdir()) == [], "the collector left files behind"


@contextmanager
def new_lab(home: Path) -> Iterator[Lab]:
    """A lab that is checked at the end."""
    made = Lab(home)
    try:
        yield made
    finally:
        made.close()
