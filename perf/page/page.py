"""Writes a report as one HTML page that needs nothing else: no script, network, or other file."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from importlib.resources import files
from typing import Any

from forkkv.perf.page.calls import bars, counts, number, per_command, together
from forkkv.perf.page.findings import cards, summary
from forkkv.perf.page.markup import Content, Html, tag
from forkkv.perf.page.tables import cross_check, study
from forkkv.perf.page.timeline import timeline

Json = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A section of the page. `lead` is a sentence that says how to read it."""

    name: str
    title: str
    lead: str
    content: Iterable[Content]


def to_html(report: Json) -> str:
    """The report as a page: ASCII, so that it is the same in every encoding of a terminal."""
    style = files("forkkv.perf.page").joinpath("page.css").read_text(encoding="ascii")
    title = _title(report)
    parts = list(_parts(report))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(style)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} - forkkv report"),
        tag("style", Html(style)),
    )
    body = tag(
        "body",
        tag("a", "Skip to the findings", href="#findings", class_="skip"),
        tag("header", _masthead(report, title), class_="masthead"),
        tag("div", _contents(parts), tag("main", map(_section, parts)), class_="page"),
        tag("footer", tag("p", _footer(report))),
    )
    page = f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"
    return page.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _policy(style: str) -> str:
    """Allows the page its own style sheet, by its digest, and nothing else."""
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _parts(report: Json) -> Iterator[Part]:
    yield Part("findings", "Findings", "", cards(report))
    lead = (
        "Two bars for each process: how many calls, on one scale for all; and of what kinds. "
        "Point at a colour for its number."
    )
    yield Part("calls", "System calls by process", lead, bars(report))
    if report.get("timeline", {}).get("moments"):
        yield Part("time", "Over time", "", timeline(report))
    lead = "The price of a command, in calls: fewer is cheaper."
    yield Part("cost", "System calls per command", lead, per_command(report))
    yield Part("counts", "Counts", "", counts(report))
    lead = "The kernel's counts and the processes' own, taken over the same window."
    yield Part("check", "Cross-check", lead, cross_check(report))
    lead = "What each process's counts mean, and which calls hold it up."
    yield Part("study", "Explanations", lead, study(report))
    if report["caveats"] or report["cannot_tell"]:
        yield Part("caveats", "Caveats", "", _caveats(report))


def _title(report: Json) -> str:
    table = report["run"].get("table")
    if table:
        return f"System calls of table {table}"
    if len(report["processes"]) == 1:
        return f"System calls of {report['processes'][0]['process']}"
    return f"System calls of {len(report['processes'])} processes"


def _masthead(report: Json, title: str) -> Iterator[Content]:
    run = report["run"]
    yield tag("p", "forkkv report", class_="eyebrow")
    yield tag("h1", title)
    said = (f"counted for {run['window']['seconds']:.2f} s", f"Linux {run['kernel']}")
    yield tag("p", tag("time", _date(run["date"]), datetime=run["date"]), *(f"; {s}" for s in said))
    yield tag("dl", (_figure(*pair) for pair in _figures(report)), class_="figures")
    yield tag("ul", (tag("li", text) for text in report["sources"]), class_="sources")


def _figures(report: Json) -> Iterator[tuple[str, str]]:
    """The few numbers that say what kind of run it was."""
    server = together(report)
    commands, calls, seconds = (server[name] for name in ("commands", "total", "cpu_seconds"))
    yield "findings", summary(report)
    if counted := [p["commands"] for p in report["processes"] if p["commands"] is not None]:
        yield "commands served", f"{'at least ' * (commands is None)}{number(sum(counted))}"
    if calls is not None:
        yield "server's system calls", number(calls)
    if commands and calls is not None:
        yield "calls per command", f"{calls / commands:.2f}"
    if seconds is not None:
        yield "server's CPU time", f"{seconds:.2f} s"
    clients = sum(process["role"] == "client" for process in report["processes"])
    also = f" and {clients} client{'' if clients == 1 else 's'}" if clients else ""
    yield "processes", f"{len(report['processes']) - clients}{also}"


def _figure(name: str, value: str) -> Html:
    return tag("div", tag("dt", name), tag("dd", value))


def _contents(parts: Iterable[Part]) -> Html:
    links = (tag("li", tag("a", part.title, href=f"#{part.name}")) for part in parts)
    return tag("nav", tag("ol", links), aria_label="Contents")


def _section(part: Part) -> Html:
    head = tag("h2", part.title, id=f"{part.name}-title")
    lead = tag("p", part.lead, class_="lead") if part.lead else None
    return tag(
        "section", head, lead, part.content, id=part.name, aria_labelledby=f"{part.name}-title"
    )


def _caveats(report: Json) -> Iterator[Html]:
    if report["caveats"]:
        yield tag("ul", (tag("li", f"{text}.") for text in report["caveats"]))
    if told := report["cannot_tell"]:
        yield tag("h3", "What these rules cannot tell")
        rows = ((tag("dt", name), tag("dd", f"{text}.")) for name, text in told.items())
        yield tag("dl", rows, class_="told")


def _date(text: str) -> str:
    """A time as people write it; one that cannot be read stays as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{moment.day} {moment:%B %Y, %H:%M:%S} {moment.tzname() or ''}".rstrip()


def _footer(report: Json) -> str:
    directory = report["run"]["directory"]
    return f"Made by forkkv report from {directory}. The same run gives the same page."
