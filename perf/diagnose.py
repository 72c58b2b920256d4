"""Applies the rules to a run: rows of Observation, Meaning, Inference, and the findings."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from forkkv.perf.quantities import Quantities, in_words, of_clients, of_process, of_server
from forkkv.perf.rule import ENOUGH, Condition, Rule, say
from forkkv.perf.rules import RULES
from forkkv.perf.run import Process, Run

SERVER: Final = "server"
NEVER_RAN: Final = "never ran"


@dataclass(frozen=True)
class Row:
    """One row of a table; `rule` is None in the Overall row."""

    observation: str
    meaning: str
    inference: str
    rule: Rule | None = None


@dataclass(frozen=True)
class Subject:
    """A process, or the server as a whole, with what is known and what was concluded."""

    label: str
    role: str
    known: Quantities
    rows: list[Row]
    overall: Row


@dataclass(frozen=True)
class Evidence:
    """A number that made a rule speak, with its threshold."""

    subject: str
    condition: Condition
    value: float


@dataclass(frozen=True)
class Finding:
    """A situation, with every process that shows it."""

    rule: Rule
    subjects: list[str] = field(default_factory=list)
    sentences: list[Row] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)


def subjects(run: Run) -> list[Subject]:
    """Each process, the clients last, then the server as a whole, whose verdict is on all."""
    known = [of_process(process, run.seconds) for process in run.server] + of_clients(run)
    processes = (*run.server, *run.clients)
    each = [_subject(p.label, p.role, k, p) for p, k in zip(processes, known, strict=True)]
    server = _subject(SERVER, SERVER, of_server(run), None)
    situations = list(dict.fromkeys(f.rule.situation for f in findings([*each, server])))
    verdict = ", ".join(situations) or server.overall.inference
    return [*each, replace(server, overall=replace(server.overall, inference=verdict))]


def findings(judged: Iterable[Subject]) -> list[Finding]:
    """What is worth acting on, in the order of the rules."""
    judged = list(judged)
    found: dict[str, Finding] = {}
    for rule in RULES:
        for subject in judged:
            row = next((row for row in subject.rows if row.rule is rule), None)
            if rule.finding and row is not None:
                finding = found.setdefault(rule.situation, Finding(rule))
                finding.subjects.append(subject.label)
                finding.sentences.append(row)
                finding.evidence.extend(
                    Evidence(subject.label, c, subject.known[c.quantity]) for c in rule.when
                )
    return list(found.values())


def _subject(label: str, role: str, known: Quantities, process: Process | None) -> Subject:
    rows = [
        Row(say(r.observation, known), say(r.meaning, known), say(r.inference, known), r)
        for r in RULES
        if r.applies(role, known)
    ]
    return Subject(label, role, known, rows, _overall(known, rows, process))


def _overall(known: Quantities, rows: list[Row], process: Process | None) -> Row:
    return Row(_volume(known), _pace(known, process), _verdict(known, rows, process))


def _volume(known: Quantities) -> str:
    parts = []
    if "calls" in known:
        parts.append(f"{in_words('calls', known['calls'])} calls")
    if known.get("commands"):
        parts.append(f"{in_words('commands', known['commands'])} commands")
    if "calls_per_command" in known:
        parts.append(f"{in_words('calls_per_command', known['calls_per_command'])} per command")
    return ", ".join(parts) or "no counts"


def _pace(known: Quantities, process: Process | None) -> str:
    if process is not None and any(NEVER_RAN in count.note for count in process.calls.values()):
        return f"It slept through the whole window of {known['seconds']:.1f} s"
    if "cpu_share" not in known:
        return f"In {known['seconds']:.1f} s"
    cpu = in_words("cpu_share", known["cpu_share"])
    cpu_seconds = in_words("cpu_seconds", known["cpu_seconds"])
    return f"CPU {cpu_seconds} in {known['seconds']:.1f} s: {cpu} of one core"


def _verdict(known: Quantities, rows: list[Row], process: Process | None) -> str:
    rules = [row.rule for row in rows if row.rule is not None]
    found = list(dict.fromkeys(rule.situation for rule in rules if rule.finding))
    if found or (rules and process is not None):
        return ", ".join(found or [rule.situation for rule in rules])
    if process is not None and process.note:
        return f"Insufficient data: {process.note}"
    if process is not None and process.source == "none":
        return "Insufficient data: perf is needed to count a client"
    if not known.get("commands"):
        return "idle" if known.get("calls") == 0 else "Insufficient data: commands are not known"
    if known["commands"] < ENOUGH:
        return f"Insufficient data: ratios need {ENOUGH} commands"
    return "healthy: no rule found anything to act on"
