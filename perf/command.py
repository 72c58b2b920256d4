"""The `forkkv report` command: reads a run of collect.sh and explains it, or compares two."""

import sys
from pathlib import Path
from typing import Any

import click

from forkkv.perf import comparison, document
from forkkv.perf.compare import compare
from forkkv.perf.page.page import to_html
from forkkv.perf.render import to_json, to_markdown, to_text
from forkkv.perf.report import build
from forkkv.perf.run import NotARun, load

Json = dict[str, Any]


@click.command("report", short_help="Explain a run of perf/collect.sh, or compare two.")
@click.argument("directories", type=click.Path(path_type=Path), metavar="DIR [DIR]", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json", "html"]),
    default="text",
    show_default=True,
    help="What to print. html: one page with charts, which needs no network.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the report into FILE instead.",
)
def report(directories: tuple[Path, ...], form: str, output: Path | None) -> None:
    """Explain the system calls that perf/collect.sh counted into DIR.

    Shows the counts of every process, perf's beside forkkv's own, what they mean, and which
    bottlenecks apply. Nothing is measured here: the same DIR gives the same report.

    With a second DIR: what changed from the first to it, before and after a fix, say, and whether
    that is more than noise.
    """
    if len(directories) > 1 and form == "html":
        raise click.UsageError("--format html shows one run; for two use text, markdown or json")
    try:
        built = _build(directories)
    except NotARun as error:
        raise click.ClickException(str(error)) from error
    styled = output is None and sys.stdout.isatty()
    text = _written(built, form, styled, compared=len(directories) > 1)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}") from error


def _build(directories: tuple[Path, ...]) -> Json:
    """The report on one run, or the comparison of two. Raises NotARun, and UsageError."""
    if not directories:
        raise click.UsageError("name a DIR that perf/collect.sh wrote, or two to compare them")
    if len(directories) > 2:
        raise click.UsageError("name one DIR, or two to compare them, not more")
    runs = [load(directory) for directory in directories]
    if len(runs) == 1:
        return build(runs[0])
    if directories[0].samefile(directories[1]):
        raise click.UsageError(f"both DIRs are {directories[0]}: name two different runs")
    return compare(*runs)


def _written(built: Json, form: str, styled: bool, compared: bool) -> str:
    layout = comparison.sections if compared else document.sections
    if form == "json":
        return to_json(built)
    if form == "html":
        return to_html(built)
    return to_markdown(built, layout) if form == "markdown" else to_text(built, styled, layout)
