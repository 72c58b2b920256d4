"""The command line: serve, stats, check and unlink; the others come by lazy import."""

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import MISSING, fields
from typing import Any

import click

from forkkv.config import Config, variable
from forkkv.sizes import parse_size

EXIT_BROKEN = 1
EXIT_NOT_CHECKED = 2
LAZY = {
    "client": "forkkv.clients.command:client",
    "collect": "forkkv.perf.collect:collect",
    "report": "forkkv.perf.command:report",
    "top": "forkkv.perf.top.command:top",
}
NAME = click.option(
    "--name", default="default", show_default=True, envvar="FORKKV_NAME", help="Name of the table."
)


class LazyGroup(click.Group):
    """Loads what lives in other packages only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *LAZY})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in LAZY:
            return super().get_command(ctx, cmd_name)
        module, attribute = LAZY[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


def _to_size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """64mb, 1gb, or bytes."""
    try:
        return None if value is None else parse_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _to_mode(ctx: click.Context, param: click.Parameter, value: str) -> int:
    """Permissions in octal."""
    try:
        return int(value, 8)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not an octal mode; write 600 or 660") from None


READ_AS = {"size": _to_size, "mode": _to_mode}


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="forkkv")
def main() -> None:
    """A key-value store in shared memory that counts and explains its own system calls."""


def config_options(command: Callable[..., None]) -> Callable[..., None]:
    """One click option for each field of Config."""
    for each in reversed(fields(Config)):
        kind, shown = each.metadata["kind"], each.metadata["shown"]
        default = each.default if each.default_factory is MISSING else each.default_factory()
        text = shown if kind and default is not None else default
        command = click.option(
            "--" + each.name.replace("_", "-"),
            default=text,
            type=str if kind or default is None else type(default),
            metavar=kind.upper() or None,
            callback=READ_AS.get(kind),
            is_flag=isinstance(default, bool),
            envvar=variable(each.name),
            show_envvar=True,
            show_default=shown if shown and shown != text else True,
            help=each.metadata["help"],
        )(command)
    return command


@main.command()
@config_options
def serve(**options: Any) -> None:
    """Serve a table with a master, workers and a keeper."""
    from forkkv.errors import ServeError
    from forkkv.master import serve as serve_table

    try:
        exit_code = serve_table(Config(**options))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except ServeError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(exit_code)


@main.command()
@NAME
@click.option("--json", "as_json", is_flag=True, help="For programs: everything, exact.")
@click.option("--watch", is_flag=True, help="Again every second, until Ctrl-C.")
def stats(name: str, as_json: bool, watch: bool) -> None:
    """Show what every process of a table counts, straight from shared memory."""
    from rich.console import Console

    from forkkv.stats_view import plain_text, rich_view

    console = Console()
    with suppress(KeyboardInterrupt):  # the end of --watch
        for number, reading in enumerate(_readings(name, watch)):
            if as_json:
                click.echo(json.dumps(reading))
            elif console.is_terminal:
                if number:
                    console.clear()
                console.print(rich_view(reading))
            else:
                click.echo(plain_text(reading))


def _readings(name: str, watch: bool) -> Iterator[dict[str, Any]]:
    from forkkv.stats import read_stats

    with table_errors():
        yield read_stats(name)
        while watch:
            time.sleep(1)
            yield read_stats(name)


@main.command()
@click.argument("name")
def check(name: str) -> None:
    """Walk the whole table NAME and print the first broken invariant.

    Exit code 0: sound. 1: broken. 2: could not be checked.
    """
    from forkkv import objects

    with table_errors():
        table = objects.open_table(name)
        broken = table.check()
        facts = table.facts()
        table.close()
    if broken is not None:
        click.echo(f"broken: {broken}")
        sys.exit(EXIT_BROKEN)
    click.echo(
        f"ok: {facts['keys']} keys, {facts['live_bytes']} live bytes, "
        f"{facts['segments']} segments, {facts['partitions']} partitions, "
        f"{facts['participants']} processes, {facts['repairs']} repairs"
    )


@main.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Even while a server serves it.")
def unlink(name: str, force: bool) -> None:
    """Remove the table NAME and its keys; programs that have it open get an error."""
    from forkkv import _core, objects
    from forkkv.claim import living_master

    with table_errors():
        try:
            table = objects.observe_table(name)
        except (_core.TableUnusable, _core.TableRetired):
            pass  # nobody can serve what nobody can open
        else:
            pid = living_master(table)
            table.close()
            if pid is not None and not force:
                raise click.ClickException(
                    f"table {name!r} is served by process {pid}; stop it first, or add --force"
                )
        objects.unlink(name)
    click.echo(f"removed table {name}")


class TableProblem(click.ClickException):
    """A table that cannot be looked at."""

    exit_code = EXIT_NOT_CHECKED


@contextmanager
def table_errors() -> Iterator[None]:
    """Turns a table that cannot be opened into the error that a command ends with, exit code 2."""
    from forkkv import _core

    try:
        yield
    except (_core.Error, ValueError) as error:
        raise TableProblem(str(error)) from None
