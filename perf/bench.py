"""Benchmarks: both sides of every comparison in one interleaved run, as ratios.

    python -m forkkv.perf.bench [local] [server] [memory] [collect] [--rounds N] [--quick]

Absolute times mean nothing on a shared machine, so each round runs one side after the other, and
what counts is the median of the rounds' ratios. The spread is printed beside it: a wide one says
that the machine was busy. The limits are the project's own; a missed one is marked.
"""

import importlib
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
from rich.console import Console
from rich.table import Table as Grid

PARTS = ("local", "server", "memory", "collect")
Measure = Callable[[], float]


@dataclass(frozen=True)
class Comparison:
    """One line of the result: what one side costs, in units of the other."""

    what: str
    against: str
    limit: float | None  # at most; None: shown for reference
    ours: Measure
    theirs: Measure


@dataclass(frozen=True)
class Result:
    comparison: Comparison
    ratios: list[float]
    ours: float
    theirs: float
    unit: str

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)

    @property
    def verdict(self) -> str:
        limit = self.comparison.limit
        if limit is None:
            return ""
        return "ok" if self.median <= limit else "MISSED"


def run(comparisons: list[Comparison], rounds: int, unit: str) -> Iterator[Result]:
    """Measures each comparison `rounds` times, the two sides in turn, after one warm-up."""
    for comparison in comparisons:
        pairs = [(comparison.ours(), comparison.theirs()) for _ in range(rounds + 1)][1:]
        yield Result(
            comparison,
            [ours / theirs for ours, theirs in pairs],
            statistics.median(ours for ours, _ in pairs),
            statistics.median(theirs for _, theirs in pairs),
            unit,
        )


def show(title: str, results: Iterator[Result]) -> int:
    """Prints the results as they come. Returns how many limits were missed."""
    grid = Grid(title=title, title_justify="left")
    for name in ("what", "against", "ratio", "min .. max", "limit", "ours / theirs", ""):
        grid.add_column(name, no_wrap=True)
    missed = 0
    for result in results:
        missed += result.verdict == "MISSED"
        limit = result.comparison.limit
        grid.add_row(
            result.comparison.what,
            result.comparison.against,
            f"{result.median:.3g}",
            f"{min(result.ratios):.3g} .. {max(result.ratios):.3g}",
            "" if limit is None else f"{limit:g}",
            f"{result.ours:.4g} / {result.theirs:.4g} {result.unit}",
            result.verdict,
        )
    Console(width=None if sys.stdout.isatty() else 120).print(grid)
    return missed


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option("--rounds", default=7, show_default=True, help="Counted rounds of each comparison.")
@click.option("--quick", is_flag=True, help="Fewer keys and operations, to see that it works.")
def main(parts: tuple[str, ...], rounds: int, quick: bool) -> None:
    """Measure forkkv against its peers; no PARTS means all."""
    missed = 0
    for name in PARTS:
        if not parts or name in parts:
            module = importlib.import_module(f"forkkv.perf.bench_{name}")  # needs its own packages
            with module.comparisons(quick) as (title, unit, comparisons):
                missed += show(title, run(comparisons, rounds, unit))
    if missed:
        click.echo(f"{missed} of the limits were missed; docs/design.md says what is known of why.")


if __name__ == "__main__":
    main()
