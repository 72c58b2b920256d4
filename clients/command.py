"""`forkkv client`: a prompt, a filter for commands, one command, or a workload."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Any

import click
from click.core import ParameterSource

from .address import Address
from .connection import Connection
from .options import CONNECTION_OPTIONS, WORKLOAD_OPTIONS, with_options
from .progress import progress_bar
from .prompt import Shell
from .result import Result, counts_text
from .runner import Extent, Runner
from .workloads import WORKLOADS, Keyspace, Workload

EPILOG = "\b\nWorkloads:\n" + "\n".join(
    f"  {workload.name:<12} {workload.description}" for workload in WORKLOADS.values()
)


@click.command(
    name="client",
    context_settings={"allow_interspersed_args": False},
    epilog=EPILOG,
    short_help="A prompt, a filter for commands, one command, or a workload.",
)
@with_options(CONNECTION_OPTIONS)
@with_options(WORKLOAD_OPTIONS)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND [ARGUMENT]...]")
@click.pass_context
def client(
    context: click.Context,
    /,
    number: int,
    address: Address,
    timeout: float | None,
    read_bytes: int,
    raw: bool | None,
    calls: bool,
    name: str | None,
    command: tuple[str, ...],
    **options: Any,
) -> None:
    """Talk to a server: one write and one read for each command, and nothing hidden.

    With a COMMAND it runs that one. Without, it asks for commands on a terminal, or reads them
    from standard input, one a line. The exit code is 1 when a command got an error.

    \b
      forkkv client --id 1 SET greeting hello
      printf 'GET greeting\\nINCR visits\\n' | forkkv client
      forkkv client --workload mixed --seconds 5
    """
    workload = WORKLOADS[name] if name else None
    refuse_contradictions(context, workload, command, options)
    caller = f"client-{number}"
    connection = Connection(address, given_name(workload, caller), timeout, read_bytes)
    try:
        if workload:
            seed = number if options["seed"] is None else options["seed"]
            code = run_workload(workload, connection, caller, {**options, "seed": seed})
        else:
            code = run_commands(connection, command, raw)
    except ConnectionError as error:
        raise click.ClickException(str(error)) from None
    finally:
        connection.close()
        if calls:
            print(f"system calls: {counts_text(asdict(connection.calls))}", file=sys.stderr)
    context.exit(code)


def given_name(workload: Workload | None, caller: str) -> str | None:
    """Return the name that the server is told; None for a workload that stays unnamed."""
    return None if workload and not workload.named else caller


def refuse_contradictions(
    context: click.Context,
    workload: Workload | None,
    command: tuple[str, ...],
    options: dict[str, Any],
) -> None:
    """Raise click.UsageError for options that do not go together."""
    if workload is None:
        for option in options:
            if context.get_parameter_source(option) is ParameterSource.COMMANDLINE:
                raise click.UsageError(f"--{option.removeprefix('as_')} needs --workload")
        return
    if command:
        raise click.UsageError(f"--workload {workload.name} takes no command: {' '.join(command)}")
    if options["ops"] and options["seconds"]:
        raise click.UsageError("--ops and --seconds exclude each other")
    if options["pipeline"] > 1 and not workload.can_pipeline:
        raise click.UsageError(f"--pipeline does not go with {workload.name}")
    if options["fill"] and workload.counter:
        raise click.UsageError(f"--fill does not go with {workload.name}: it uses one key")


def run_commands(connection: Connection, command: tuple[str, ...], raw: bool | None) -> int:
    """Run one command, or those of standard input; return the exit code."""
    shell = Shell(connection, raw=not sys.stdout.isatty() if raw is None else raw)
    if command:
        shell.run([os.fsencode(argument) for argument in command])
    elif sys.stdin.isatty():
        shell.run_prompt()
        return 0
    else:
        shell.run_lines(sys.stdin.buffer)
    return int(shell.failed)


def run_workload(
    workload: Workload, connection: Connection, caller: str, options: dict[str, Any]
) -> int:
    """Run a workload and print its result; return the exit code."""
    keyspace = Keyspace(options["keys"], options["size"], options["distribution"], options["seed"])
    operations = options["ops"]
    if operations is None and options["seconds"] is None:
        operations = workload.default_operations
    extent = Extent(
        operations, options["seconds"], options["rate"], options["pipeline"], options["fill"]
    )
    with progress_bar(workload.name, extent) as progress:
        result = Runner(caller, workload, connection, keyspace, extent, progress).run()
    print_result(result, options["as_json"])
    return result.exit_code


def print_result(result: Result, as_json: bool) -> None:
    """Print the result on standard output, and a failure on standard error."""
    print(json.dumps(result.to_json(), indent=2) if as_json else result.to_text())
    if result.failure:
        print(f"Error: {result.failure}", file=sys.stderr)
