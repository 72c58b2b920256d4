"""docs/lab.md: what the tour says comes out does come out, and its table is that of the rules.

The steps go together: each stands on the runs that the steps before it collected.
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import tour
from conftest import DEADLINE, check_table, free_port, left_behind, wait_until
from golden import situations
from programs import needs

from forkkv.perf.run import load

TEXT = tour.PAGE.read_text()
STEPS = list(tour.steps(TEXT))
TITLES = [f"{number}: {step.title}" for number, step in enumerate(STEPS)]


class Session:
    """A directory in which the page is typed, with a table and ports of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.table = f"test-{os.getpid()}-{secrets.token_hex(4)}"
        self.names = {"tour": self.table} | {p: str(free_port()) for p in ("6391", "6392", "6393")}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        # Where Python does not buffer its output, a client writes its result in several pieces.
        left_out = re.compile("PYTHONUNBUFFERED|FORKKV_")
        kept = {k: v for k, v in os.environ.items() if not left_out.match(k)}
        self.environment = kept | {"PATH": path}
        self.running: list[subprocess.Popen[bytes]] = []
        self.came = ""
        for name, content in tour.files(TEXT).items():
            (directory / name).write_text(self.own(content))

    def own(self, text: str) -> str:
        """The text with this session's table and ports."""
        return re.sub(r"\b(tour|639[123])\b", lambda match: self.names[match[0]], text)

    def type(self, step: tour.Step) -> None:
        """Types the command of a step, if it has one; `came` is what comes out."""
        command = self.own(step.command)
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.environment[name] = value
            self.came = ""
        elif command.endswith("&"):
            self._start(command.removesuffix("&"), self.own(step.expected))
        elif command:
            done = subprocess.run(["bash", "-c", command], **self._how, timeout=DEADLINE)
            self.came = done.stdout.decode()

    def _start(self, command: str, expected: str) -> None:
        """Starts what is to run on, and waits until it has said what the page expects."""
        log = self.directory / f"log-{len(self.running)}"
        with log.open("wb") as file:
            how = {**self._how, "stdout": file}
            self.running.append(subprocess.Popen(["bash", "-c", f"exec {command}"], **how))
        wait_until(lambda: tour.differs(f"... {expected} ...", log.read_text()) is None, expected)
        self.came = log.read_text()

    @property
    def _how(self) -> dict[str, object]:
        return {"cwd": self.directory, "env": self.environment, "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}  # fmt: skip

    def close(self) -> None:
        """Ends what was started; the server must leave nothing behind."""
        try:
            check_table(self.table)
        finally:
            for process in self.running:
                process.terminate()
            for process in self.running:
                process.wait(DEADLINE)
            shutil.rmtree(self.directory)
        assert left_behind(self.table) == []


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One for all steps. nginx gives its rights away, so the directory is open for all to read."""
    directory = Path(tempfile.mkdtemp(prefix="forkkv-tour-"))
    directory.chmod(0o755)
    made = Session(directory)
    yield made
    made.close()


@pytest.mark.parametrize("step", STEPS, ids=TITLES)
def test_what_the_tour_shows_comes_out(session: Session, step: tour.Step) -> None:
    needs(*(program for program in step.needs if program != "perf"))
    session.type(step)
    expected = session.own(step.expected)
    if "perf" in step.needs and load(session.directory / "first").source != "perf":
        if "redis-server" in step.needs or "nginx" in step.needs:
            pytest.skip("perf may not count here")
        said = tour.server_side(expected)
        assert [line for line in said if tour.differs(f"... {line} ...", session.came)] == []
    else:
        missing = tour.differs(expected, session.came)
        assert missing is None, f"{missing!r} did not come; what came is\n{session.came}"


def test_the_situations_of_the_page_are_those_of_the_rules() -> None:
    table = TEXT.split("<!-- situations -->\n")[1].split("<!-- /situations -->")[0]
    assert table == situations(), "if the change is meant: make golden"


@pytest.mark.parametrize(
    ("expected", "came"),
    [
        ("a 1 b", "a 2 b"),
        ("a\n...\nc 3", "a b c 4"),
        ("reads N", "reads n/a"),
        ("a", "a and more"),
        ("worker-N: 1.00", "worker-1: 1.001"),
    ],
)
def test_another_output_than_the_expected_one_is_noticed(expected: str, came: str) -> None:
    assert tour.differs(expected, came) is not None


@pytest.mark.parametrize(
    ("expected", "came"),
    [
        ("a N b", "a 2,000.5 b"),
        ("a\n...\nc", "a\nb\nc"),
        ("a ... c", "a c"),
        ("...\nworker-N: -N%\n...", "x\nworker-1: -73% y"),
        ("by a long\nway", "by\na long way"),
    ],
)
def test_what_is_left_open_may_be_anything(expected: str, came: str) -> None:
    assert tour.differs(expected, came) is None
