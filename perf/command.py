"""The `forkkv report` command: reads a run of collect.sh and explains it."""

import sys
from pathlib import Path

import click

from forkkv.perf.render import to_json, to_markdown, to_text
from forkkv.perf.report import build
from forkkv.perf.run import NotARun, load


@click.command("report", short_help="Explain a run of perf/collect.sh.")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="What to print.",
)
def report(directory: Path, form: str) -> None:
    """Explain the system calls that perf/collect.sh counted into DIR.

    Shows the counts of every process, perf's beside forkkv's own, what they mean, and which
    bottlenecks apply. Nothing is measured here: the same DIR gives the same report.
    """
    try:
        built = build(load(directory))
    except NotARun as error:
        raise click.ClickException(str(error)) from error
    if form == "json":
        click.echo(to_json(built), nl=False)
    elif form == "markdown":
        click.echo(to_markdown(built), nl=False)
    else:
        click.echo(to_text(built, styled=sys.stdout.isatty()), nl=False)
