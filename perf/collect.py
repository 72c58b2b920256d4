"""The `forkkv collect` command, which perf/collect.sh runs: counts system calls into files."""

import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click
from click.core import ParameterSource

from forkkv.perf import observe, record, sources, targets
from forkkv.perf.collection import Collection, say
from forkkv.perf.targets import Target

WRONG_USAGE, NO_SERVER, IN_USE, LOST = 2, 3, 4, 7  # exit codes; 5 and 6 are the probe's
SHORTEST: Final = 0.1  # seconds of an interval; perf itself would warn below that
PID: Final = click.IntRange(1, 2**22)
EXIT_CODES: Final = """
\b
Exit codes: 0 all counted; 2 wrong usage; 3 nothing to count; 4 DIR in use;
5 the source is missing; 6 it is not permitted (5 and 6 only where no other will do);
7 written, but something was lost.
"""


@click.command("collect", epilog=EXIT_CODES, short_help="Count system calls (perf/collect.sh).")
@click.option(
    "--name",
    envvar="FORKKV_NAME",
    help="Table whose server is counted.  [default: default, or none with --pid]",
)
@click.option(
    "--pid",
    "pids",
    type=PID,
    multiple=True,
    help="Count this process and its children, of whatever server.",
)
@click.option(
    "--client",
    "commands",
    multiple=True,
    metavar="COMMAND",
    help="Start this client (no pipeline) and count it.",
)
@click.option(
    "--client-pid",
    "client_pids",
    type=PID,
    multiple=True,
    help="Count this running process as a client.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="Length of the window; without it, until the clients end or Ctrl-C.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Seconds of a step of the time line; 0: none.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the result goes; never over an old one.  [default: forkkv-run-DATE]",
)
@click.option(
    "--source",
    type=click.Choice(sources.NAMES),
    default="auto",
    show_default=True,
    help="Who counts. auto: perf, else bpftrace, else forkkv itself; strace distorts.",
)
def collect(
    name: str | None,
    pids: tuple[int, ...],
    commands: tuple[str, ...],
    client_pids: tuple[int, ...],
    seconds: float | None,
    interval: float,
    out: Path | None,
    source: str,
) -> None:
    """Count the system calls of every process of a running server, and of its clients.

    \b
      forkkv collect --seconds 5
      forkkv collect --client "forkkv client --id 1 --workload mixed --ops 10000"
      forkkv collect --pid $(pgrep -o nginx) --seconds 5

    It leaves DIR/run.json and files of counts. Read them with: forkkv report DIR
    """
    words = [_words(command) for command in commands]
    if isnan(interval) or 0 < interval < SHORTEST:
        raise click.UsageError(f"--interval takes {SHORTEST:g} seconds or more, or 0 for none")
    if seconds is not None and isnan(seconds):
        raise click.UsageError("--seconds takes a number such as 5 or 0.5")
    table = _table(name, pids)
    found = _find(table, pids, client_pids)
    directory = _make(out or Path(time.strftime("forkkv-run-%Y%m%d-%H%M%S")))
    with _cleaning_up(), tempfile.TemporaryDirectory(prefix="forkkv-collect-") as scratch:
        try:
            choice = _choose(source, directory, Path(scratch), found, interval)
            collection = Collection(table, choice, seconds or 0.0, interval, words, pids)
            collection.run(found)
            lost = record.write(collection, directory)
        finally:
            if not any(directory.iterdir()):
                directory.rmdir()
    for sentence in lost:
        say(f"Lost: {sentence}")
    say(f"Wrote {directory}. Read it with: forkkv report {directory}")
    sys.exit(LOST if lost else 0)


@contextmanager
def _cleaning_up() -> Iterator[None]:
    """Outside of the window, these signals end the program as Ctrl-C does: nothing is left."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    earlier = {kind: signal.signal(kind, leave) for kind in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for kind, handler in earlier.items():
            signal.signal(kind, handler)


def _refuse(code: int, text: str) -> NoReturn:
    say(f"Error: {text}")
    sys.exit(code)


def _words(command: str) -> list[str]:
    """The words of a client's command, as a shell would split them."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise click.UsageError(f"--client {command!r}: {error}") from None
    if not words or shutil.which(words[0]) is None:
        raise click.UsageError(f"--client {command!r}: there is no such program; is it on PATH?")
    return words


def _table(name: str | None, pids: tuple[int, ...]) -> str | None:
    """The table whose server is counted. With --pid only one that was named with it."""
    named = click.get_current_context().get_parameter_source("name")
    if pids and named is not ParameterSource.COMMANDLINE:
        return None
    return name or "default"


def _find(table: str | None, pids: tuple[int, ...], client_pids: tuple[int, ...]) -> list[Target]:
    """What is to be counted from the start."""
    try:
        found = targets.of_table(observe.participants(table, strict=True))
        already = {target.pid for target in found}
        found += [target for target in targets.of_pids(pids) if target.pid not in already]
        found += [targets.of_client(pid, place) for place, pid in enumerate(client_pids, 1)]
    except (ValueError, observe.Error) as error:  # ValueError: no name of a table; NoTarget
        _refuse(NO_SERVER, str(error))
    twice = [
        label for pid, label in _labels(found).items() if pid in client_pids and len(label) > 1
    ]
    if twice:
        raise click.UsageError(f"one process, counted twice: {' and '.join(twice[0])}")
    if table and not any(target.role in ("master", "worker", "attached") for target in found):
        _refuse(NO_SERVER, f"table {table} has no running server; start one: "
                f"forkkv serve --name {table}")  # fmt: skip
    return found


def _labels(found: list[Target]) -> dict[int | None, list[str]]:
    """What each process is counted as."""
    labels: dict[int | None, list[str]] = {}
    for target in found:
        labels.setdefault(target.pid, []).append(target.label)
    return labels


def _make(directory: Path) -> Path:
    """The directory for the result, which is made, or is there and empty."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        empty = not any(directory.iterdir())
    except OSError as error:
        _refuse(IN_USE, f"cannot make the directory {directory} ({error.strerror}); "
                "choose another with --out")  # fmt: skip
    if not empty:
        _refuse(IN_USE, f"{directory} is not empty; remove it, or choose another by --out")
    return directory


def _choose(
    wanted: str, directory: Path, scratch: Path, found: list[Target], interval: float
) -> sources.Choice:
    """Who counts. Says why, if it is not the one that was hoped for."""
    pid = next((target.pid for target in found if target.pid is not None), 0)
    choice = sources.choose(wanted, directory, scratch, pid, interval)
    if choice.problem:
        say(f"{choice.refused[0] if choice.refused else wanted} cannot be used: {choice.problem}.")
        say(f"To allow it: {choice.remedy}.")
        if wanted != "auto":
            sys.exit(choice.code)
    if choice.source.name == "forkkv" and all(target.table_pid is None for target in found):
        _refuse(choice.code or WRONG_USAGE, "only perf, bpftrace or strace can count processes "
                "that are not forkkv's")  # fmt: skip
    if choice.problem:
        say(f"Falling back to {'own counters' if choice.source.name == 'forkkv' else 'bpftrace'}.")
    return choice
