"""The `forkkv top` command: a live view of a running server, from shared memory alone."""

import math
import sys
from contextlib import suppress

import click

from forkkv.cli import NAME, TableProblem, table_errors


def _seconds(ctx: click.Context, param: click.Parameter, value: float) -> float:
    if not 0.1 <= value <= 3600 or math.isnan(value):
        raise click.BadParameter(f"{value:g} is not possible; give 0.1 to 3600 seconds")
    return value


@click.command("top", short_help="Watch the processes of a table, live.")
@NAME
@click.option(
    "--interval",
    "seconds",
    type=float,
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    callback=_seconds,
    help="How long each interval is.",
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N intervals.")
@click.option("--once", is_flag=True, help="One interval as text; the default without a terminal.")
@click.option("--json", "as_json", is_flag=True, help="For programs: an object per interval.")
def top(name: str, seconds: float, count: int | None, once: bool, as_json: bool) -> None:
    """Watch what every process of a table does, and what the lab finds in it.

    Nothing is asked of the server: its counters are read from shared memory. Press ? for the keys.
    """  # fmt: skip
    from rich.console import Console

    from forkkv.perf.top.loop import Sampler, stream, watch

    console = Console(highlight=False, markup=False, emoji=False)
    person = console.is_terminal and not console.is_dumb_terminal and sys.stdin.isatty()
    with table_errors():
        sampler = Sampler(name)
    if person and not (once or as_json):
        watch(sampler, console, seconds, count)
        return
    if once or (count is None and not as_json):
        count = 1
    with suppress(KeyboardInterrupt):  # the end of a stream
        stream(sampler, seconds, count, as_json, click.echo)
    if sampler.problem:
        raise TableProblem(sampler.problem)
