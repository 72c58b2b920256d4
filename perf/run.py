"""One run of collect.sh, read back: the window, and per process the kernel's counts beside its own.

A run is made of moments, the intervals of its time line; each is a run in its own right.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any, Final

from forkkv.perf import counts
from forkkv.perf.counts import Counts
from forkkv.perf.part import Part
from forkkv.perf.process import Process

SCHEMA: Final = 2

Json = dict[str, Any]


class NotARun(ValueError):
    """The directory does not hold a run that this forkkv can read; the message says what to do."""


@dataclass(frozen=True)
class Run:
    """One run. `facts` is run.json as it stands; `table`: sizes of the table, and what changed."""

    directory: str
    facts: Json
    seconds: float
    processes: tuple[Process, ...]
    table: Mapping[str, float] = field(default_factory=dict)
    moments: tuple["Run", ...] = ()
    offset: float = 0.0  # seconds after the start of the window; of a moment

    @property
    def server(self) -> tuple[Process, ...]:
        """The processes that serve, and those that have the table open."""
        return tuple(p for p in self.processes if not p.is_client)

    @property
    def clients(self) -> tuple[Process, ...]:
        """The processes that were counted as clients."""
        return tuple(p for p in self.processes if p.is_client)

    @property
    def source(self) -> str:
        """Who counted."""
        return str(self.facts["counter"]["source"])


def load(directory: Path) -> Run:
    """Reads a run. Raises NotARun, with a message that names the next step."""
    file = directory / "run.json"
    if not file.is_file():
        raise NotARun(
            f"{directory} holds no run: there is no run.json in it. "
            f"Make one with: perf/collect.sh --seconds 5 --out DIR"
        )
    try:
        facts = json.loads(file.read_text())
        if facts.get("schema") != SCHEMA:
            raise NotARun(
                f"{file} has schema {facts.get('schema')}, this forkkv reads {SCHEMA}. "
                f"Read it with the forkkv that made it, or collect again"
            )
        return _read(directory, facts)
    except NotARun:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        why = f"{type(error).__name__}: {error}"
        raise NotARun(f"{file} is damaged ({why}). Collect again with perf/collect.sh") from error


def _read(directory: Path, facts: Json) -> Run:
    counted = [(entry, counts.read(directory, facts, entry)) for entry in _ordered(facts)]
    window = facts["window"]
    whole = Part(facts, float(window["opened"]), float(window["closed"]))
    processes = tuple(whole.process(e, entry["edges"], c) for entry, c in counted for e in [entry])
    moments = tuple(_moments(directory, facts, counted))
    first = facts["processes"][0]["edges"] if facts["processes"] else [0, 0, 0, 0]
    table = whole.table(first[1], first[2])
    return Run(str(directory), facts, float(window["seconds"]), processes, table, moments)


def _ordered(facts: Json) -> list[Json]:
    """The entries of one role together, by index, the clients last: who came late stands where
    it belongs."""
    roles = [entry["role"] for entry in facts["processes"]]
    return sorted(
        facts["processes"],
        key=lambda each: (each["role"] == "client", roles.index(each["role"]), each["index"]),
    )


def _moments(directory: Path, facts: Json, counted: list[tuple[Json, Counts]]) -> Iterator[Run]:
    """The window cut at the ticks of its time line; what is left after the last one is no moment
    of its own while it is short, as its rates would say little."""
    window = facts["window"]
    latest = window["closed"] - (window["interval_seconds"] or 0) / 2
    ticks = [tick for tick in window["ticks"] if tick["time"] <= latest]
    if not ticks:
        return
    inner = [facts["processes"][0]["edges"][1], *(tick["reading"] for tick in ticks)]
    readings = [*inner, facts["processes"][0]["edges"][2]]
    times = [window["opened"], *(tick["time"] for tick in ticks), window["closed"]]
    for (start, end), (first, last) in zip(pairwise(times), pairwise(readings), strict=True):
        part = Part(facts, start, end)
        # The source's clock is not quite ours: the first and the last take what lies outside.
        since, until = (-inf if start == times[0] else start), (inf if end == times[-1] else end)
        processes = tuple(
            part.process(entry, [first, first, last, last], Counts(count.between(since, until)))
            for entry, count in counted
            if entry["opened"] < end
        )
        table = part.table(first, last)
        offset = start - window["opened"]
        yield Run(str(directory), facts, end - start, processes, table, (), offset)
