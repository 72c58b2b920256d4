"""What the tests of the lab share: a stand-in server, and a forkkv and a perf that are made up."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mini_server import CALLS, read_counters

from forkkv.perf import COLLECT

TESTS = Path(__file__).parent
DEADLINE = 30.0
TOOLS = ["bash", "cat", "date", "dirname", "env", "ls", "mkdir", "mkfifo", "mktemp", "mv"]
TOOLS += ["readlink", "rm", "rmdir", "sed", "sleep", "tail", "true"]

Json = dict[str, Any]


def process_entry(role: str, index: int, pid: int, **changes: Any) -> Json:
    """One process as `forkkv stats --json` prints it."""
    entry: Json = {"role": role, "index": index, "pid": pid, "alive": True, "state": "serving"}
    entry |= {"generation": 1, "start_ticks": 1, "connections": 0, "commands": 0, "hits": 0}
    entry |= {"misses": 0, "lock_waits": 0, "cpu_seconds": 0.0, "rss_bytes": 0, "counters": {}}
    return entry | {"syscalls": dict.fromkeys(CALLS, 0)} | changes


@dataclass
class Lab:
    """A directory with its own PATH: a fake forkkv, the tools collect.sh needs, perhaps a perf."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bin.mkdir()
        for tool in TOOLS:
            self.link(tool)
        for name in ("python3", "python"):
            self.script(name, f'exec {sys.executable} "$@"')
        self.script("forkkv", f'exec {sys.executable} {TESTS / "fake_forkkv.py"} "$@"')
        self.environment = {**os.environ, "PATH": str(self.bin), "FAKE_STATS": str(self.stats)}

    @property
    def bin(self) -> Path:
        return self.home / "bin"

    @property
    def stats(self) -> Path:
        return self.home / "stats.json"

    @property
    def out(self) -> Path:
        return self.home / "out"

    @property
    def run(self) -> Json:
        """What collect.sh wrote."""
        return dict(json.loads((self.out / "run.json").read_text()))

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
        self.script("perf", f'exec {sys.executable} {TESTS / "fake_perf.py"} "$@"')
        self.environment["FAKE_PERF"] = mode

    def serve(self, *processes: Json) -> None:
        """What the fake forkkv will say is running."""
        draft = self.stats.with_suffix(".new")
        draft.write_text(json.dumps({"processes": processes}))
        draft.rename(self.stats)

    def start_worker(self, index: int = 0) -> tuple[Json, int]:
        """Starts a miniature worker; returns its entry for `serve`, and its port."""
        counters, port = self.home / f"counters-{index}", self.home / f"port-{index}"
        counters.write_bytes(bytes(8 * len(CALLS)))
        command = [sys.executable, str(TESTS / "mini_server.py"), str(counters), str(port)]
        child = subprocess.Popen(command)
        self.children.append(child)
        end = time.monotonic() + DEADLINE
        while not (port.exists() and read_counters(counters)["epoll_wait"] == 1):
            assert time.monotonic() < end and child.poll() is None, "the worker did not start"
            time.sleep(0.01)
        entry = process_entry("worker", index, child.pid, counters_file=str(counters))
        return entry, int(port.read_text())

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
        """Runs collect.sh to its end: exit code and what it said."""
        running = self.start_collect(*arguments)
        said, _ = running.communicate(timeout=DEADLINE)
        return running.returncode, said

    def process(self, label: str) -> Json:
        """The entry of one process in run.json."""
        return next(entry for entry in self.run["processes"] if entry["label"] == label)

    def close(self) -> None:
        """Ends what was started."""
        for child in self.children:
            child.kill()
            child.wait(DEADLINE)
