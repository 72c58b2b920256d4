"""The part of the page that shows the run over time: for each process commands, calls and CPU."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from forkkv.perf.page import charts
from forkkv.perf.page.calls import groups
from forkkv.perf.page.charts import Moment
from forkkv.perf.page.markup import Html, tag
from forkkv.perf.page.tables import folded, numbers

SHOWN: Final = 8  # processes of a group that are drawn before the others are folded away
FLAT: Final = 0.01  # of a scale, below which nothing is to be seen
TOLD: Final = 2000  # moments of all processes up to which each has its numbers on the page

Json = dict[str, Any]


@dataclass(frozen=True)
class Measure:
    """What is shown over time: the report's name for it, and how a rate of it is written.

    The scale ends at 1 or above, so that hardly anything looks like hardly anything.
    """

    key: str
    title: str
    times: float
    unit: str

    def words(self, value: float) -> str:
        """A rate with its unit."""
        if 0 < value < 0.05:
            return f"<0.1{self.unit}"
        places = 0 if value >= 10 or value == int(value) else 1
        return f"{value:,.{places}f}{self.unit}"


MEASURES: Final = (
    Measure("commands", "commands", 1, "/s"),
    Measure("calls", "system calls", 1, "/s"),
    Measure("cpu_seconds", "CPU of one core", 100, "%"),
)


def timeline(report: Json) -> Iterator[Html]:
    """A row of plots for each process. All plots of one measure have the same scale."""
    moments, processes = report["timeline"]["moments"], report["processes"]
    every = report["timeline"].get("interval_seconds")
    told = len(moments) * len(processes) <= TOLD
    series = {
        (p["process"], measure.key): _series(moments, p["process"], measure)
        for p in processes
        for measure in MEASURES
    }
    shown = [
        m
        for m in MEASURES
        if any(_peak(series[p["process"], m.key]) is not None for p in processes)
    ]
    tops = {
        m.key: charts.nice(max(1.0, *(_peak(series[p["process"], m.key]) or 0 for p in processes)))
        for m in shown
    }
    if every:
        yield tag("p", f"A step is {every:g} s. Plots of one column have one scale.", class_="note")
    for title, members in groups(processes):
        flat = [p["process"] for p in members if _is_flat(p["process"], series, tops)]
        busy = [p["process"] for p in members if p["process"] not in flat]
        rows = [_row(name, shown, series, tops, told) for name in busy]
        yield tag("h3", title)
        yield tag("div", rows[:SHOWN], class_="moments")
        if more := rows[SHOWN:]:
            yield folded(f"{len(more)} more", tag("div", more, class_="moments"))
        if flat:
            yield tag("p", f"Below 1% of every scale: {', '.join(flat)}.", class_="note")
    if told:
        table = _numbers(moments, processes, shown, series)
        yield folded("The numbers of the time line", table, id_="time-numbers")


Series = dict[tuple[str, str], list[Moment]]


def _series(moments: list[Json], process: str, measure: Measure) -> list[Moment]:
    """One measure of one process as a rate per second."""
    series = []
    for moment in moments:
        start, end = moment["from"], moment["to"]
        count = moment["processes"].get(process, {}).get(measure.key)
        known = count is not None and end > start
        rate = measure.times * count / (end - start) if known else None
        words = "not known" if rate is None else measure.words(rate)
        series.append(Moment(start, end, rate, f"{start:g} to {end:g} s: {words}"))
    return series


def _peak(series: list[Moment]) -> float | None:
    return max((m.value for m in series if m.value is not None), default=None)


def _is_flat(name: str, series: Series, tops: dict[str, float]) -> bool:
    """Whether all its lines would lie on the ground. Not of whom nothing is known."""
    peaks = [(_peak(series[name, key]), top) for key, top in tops.items()]
    known = [(peak, top) for peak, top in peaks if peak is not None]
    return bool(known) and all(peak < FLAT * top for peak, top in known)


def _row(
    name: str, shown: list[Measure], series: Series, tops: dict[str, float], told: bool
) -> Html:
    plots = (_plot(name, m, series[name, m.key], tops[m.key], told) for m in shown)
    return tag("div", tag("p", name, class_="who"), plots, class_="moment")


def _plot(name: str, measure: Measure, series: list[Moment], top: float, told: bool) -> Html:
    peak = _peak(series)
    said = "not known" if peak is None else f"peak {measure.words(peak)}"
    label = f"{name}, {measure.title} over time: {said}"
    end = series[-1].end
    chart = charts.steps(series, top, end, label, measure.words(top), told)
    caption = tag("figcaption", tag("span", measure.title), " ", tag("b", said))
    return tag("figure", caption, chart)


def _numbers(
    moments: list[Json], processes: list[Json], shown: list[Measure], series: Series
) -> Html:
    """A row for each moment; a column for each process and measure that is known at all."""
    chosen = [
        (p["process"], m)
        for _, members in groups(processes)
        for p in members
        for m in shown
        if _peak(series[p["process"], m.key]) is not None
    ]
    rows = [
        [
            f"{moment['from']:g} to {moment['to']:g}",
            *(_cell(series[p, m.key][i], m) for p, m in chosen),
        ]
        for i, moment in enumerate(moments)
    ]
    columns = ("seconds", *(f"{process}: {m.title}" for process, m in chosen))
    return numbers("The run over time", columns, [rows])


def _cell(moment: Moment, measure: Measure) -> str:
    return "n/a" if moment.value is None else measure.words(moment.value)
