"""A progress bar for a workload, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .result import Result
from .runner import Extent, Progress


@contextmanager
def progress_bar(name: str, extent: Extent) -> Iterator[Progress | None]:
    """Show how far the workload `name` is on standard error; None when that is no terminal.

    The bar is drawn only when the workload reports, never from a thread of its own, so a run
    has no hidden writes between two reports.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    bar = Bar(
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
    )
    with bar:
        task = bar.add_task(name, total=extent.operations or extent.seconds)

        def show(result: Result, seconds: float) -> None:
            done = result.operations + result.unanswered if extent.operations else seconds
            bar.update(task, completed=done, refresh=True)

        yield show
