"""The part of the page that comes first: a card for each finding, the most serious on top."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from forkkv.perf.page import charts
from forkkv.perf.page.markup import Content, Html, tag
from forkkv.perf.page.tables import folded
from forkkv.perf.rules import WORDS
from forkkv.perf.units import in_words

SHOWN: Final = 6  # processes of one finding that are told before the others are folded away

Json = dict[str, Any]


def cards(report: Json) -> Iterator[Html]:
    """A card for each finding. A run without any is told in the words of its overall verdict."""
    found = sorted(report["findings"], key=lambda finding: -(finding.get("severity") or 0))
    if not found:
        verdict = report["tables"][-1]["overall"]
        head = tag("header", _badge(0, "no finding"), tag("h3", "Nothing to act on"))
        yield tag("article", head, tag("p", verdict["inference"]), class_="card severity-0")
    for finding in found:
        yield _card(finding)


def summary(report: Json) -> str:
    """How many findings of which severity, as one phrase."""
    found = [finding.get("severity") for finding in report["findings"]]
    if not any(found):
        real = sum(severity != 0 for severity in found)
        return str(real or "none")
    tallied = ((found.count(level), WORDS[level]) for level in (3, 2, 1))
    return ", ".join(f"{count} {word}" for count, word in tallied if count)


def _card(finding: Json) -> Html:
    severity = finding.get("severity")
    tone = "none" if severity is None else _level(severity)
    return tag(
        "article",
        tag(
            "header",
            tag("p", _badge(severity, None), _confidence(finding), class_="facts"),
            tag("h3", finding["situation"]),
            tag("p", _names(finding["processes"]), class_="processes"),
        ),
        tag("div", _advice(finding), class_="advice"),
        tag("div", _observations(finding["observations"]), _evidence(finding), class_="evidence"),
        class_=f"card severity-{tone}",
    )


def _badge(severity: int | None, words: str | None) -> Html:
    level = 1 if severity is None else _level(severity)
    said = words or ("finding" if severity is None else WORDS[level])
    return tag("span", charts.sign(level), said, class_="badge")


def _level(severity: int) -> int:
    return min(max(severity, 0), len(WORDS) - 1)


def _confidence(finding: Json) -> Content:
    share, word = finding.get("confidence"), finding.get("confidence_word")
    if share is None:
        return tag("span", f"confidence {word}", class_="confidence") if word else None
    said = f"confidence {word}, {share:.2f}" if word else f"confidence {share:.2f}"
    return tag(
        "span", charts.meter(share, f"{share:.0%} of full confidence"), said, class_="confidence"
    )


def _advice(finding: Json) -> Iterator[Html]:
    yield tag("p", finding["meaning"], ".", class_="meaning")
    said: list[tuple[str, Content]] = [("What to do", f"{finding['inference']}.")]
    if finding.get("next"):
        said.append(("Run next", tag("code", _words(finding["next"]), class_="command")))
    if finding["cannot_tell"]:
        said.append(("What this cannot tell", f"{finding['cannot_tell']}."))
    rows = (tag("div", tag("dt", title), tag("dd", text)) for title, text in said)
    yield tag("dl", rows)


def _words(command: str) -> Iterator[Content]:
    """A command that breaks between its words only, not at the hyphens of its options."""
    for i, word in enumerate(command.split(" ")):
        yield " " if i else None
        yield tag("span", word)


def _observations(seen: Sequence[Json]) -> Content:
    rows = [tag("li", tag("b", o["process"]), " ", o["observation"]) for o in seen]
    shown = tag("ul", rows[:SHOWN], class_="observations")
    more = rows[SHOWN:]
    return shown, folded(f"and {len(more)} more", tag("ul", more)) if more else None


def _names(processes: Sequence[str]) -> str:
    more = len(processes) - SHOWN
    return ", ".join(processes[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _evidence(finding: Json) -> Content:
    """For each quantity that the rule looks at, what was measured, and where the rule speaks."""
    quantities: dict[str, list[Json]] = {}
    for evidence in finding["evidence"]:
        quantities.setdefault(evidence["quantity"], []).append(evidence)
    if not quantities:
        return None
    limited = any(evidence["threshold"] is not None for evidence in finding["evidence"])
    columns = ("quantity", "measured", *(["threshold"] if limited else []))
    heads = (tag("th", name, scope="col") for name in columns)
    return tag(
        "table",
        tag("caption", f"Evidence for {finding['situation']}"),
        tag("thead", tag("tr", heads)),
        tag("tbody", (_quantity(*pair, limited) for pair in quantities.items())),
        class_="measures",
    )


def _quantity(quantity: str, measured: list[Json], limited: bool) -> Html:
    values = [evidence["value"] for evidence in measured]
    low, high = in_words(quantity, min(values)), in_words(quantity, max(values))
    said = low if low == high else f"{low} to {high}"
    exact = dict.fromkeys(
        f"{e['process']}: {e['value']:.10g} {e.get('unit') or ''}".rstrip() for e in measured
    )
    limits = dict.fromkeys(
        f"{e['operator']}\N{NO-BREAK SPACE}{in_words(quantity, e['threshold'])}"
        for e in measured
        if e["threshold"] is not None
    )
    name = tag("th", quantity.replace("_", " "), scope="row")
    threshold = tag("td", ", ".join(limits)) if limited else None
    return tag("tr", name, tag("td", said, title="; ".join(exact)), threshold)
