"""Applies the rules to a run: rows of Observation, Meaning, Inference, and the findings."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from forkkv.perf import quantities
from forkkv.perf.process import Process
from forkkv.perf.quantities import Quantities
from forkkv.perf.rule import ENOUGH, Rule, say
from forkkv.perf.rules import FINDINGS, HEALTHY, RULES, SEVERITY
from forkkv.perf.run import Run
from forkkv.perf.units import in_words

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
    """A number that made a rule speak, with its threshold (None: no condition, only context)."""

    subject: str
    quantity: str
    value: float
    operator: str | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class Finding:
    """A situation, with every process that shows it. The confidence is that of the surest one."""

    rule: Rule
    severity: int  # 3: clients are not served, 2: waste, 1: worth knowing, 0: healthy
    subjects: list[str] = field(default_factory=list)
    sentences: list[Row] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)

    @property
    def confidence(self) -> float:
        """0 to 0.99."""
        return max(self.confidences, default=0.0)


def subjects(run: Run) -> list[Subject]:
    """Each process, the clients last, then the server as a whole, whose verdict is on all."""
    whole = quantities.of_server(run)
    known = quantities.of_processes(run, whole) + quantities.of_clients(run, whole)
    processes = (*run.server, *run.clients)
    each = [judge(p.label, p.role, k, p) for p, k in zip(processes, known, strict=True)]
    server = judge(SERVER, SERVER, whole, None)
    situations = [f.rule.situation for f in _found([*each, server])]
    verdict = ", ".join(situations) or server.overall.inference
    return [*each, replace(server, overall=replace(server.overall, inference=verdict))]


def findings(judged: Iterable[Subject]) -> list[Finding]:
    """What was found, the strongest first; `healthy` when that is nothing."""
    judged = list(judged)
    return _found(judged) or [_healthy(judged)]


def _found(judged: list[Subject]) -> list[Finding]:
    found: dict[str, Finding] = {}
    for rule in FINDINGS:
        for subject in judged:
            row = next((row for row in subject.rows if row.rule is rule), None)
            if row is None:
                continue
            finding = found.setdefault(rule.situation, Finding(rule, SEVERITY[rule.situation]))
            if subject.label not in finding.subjects:
                finding.subjects.append(subject.label)
                finding.sentences.append(row)
                finding.evidence.extend(_evidence(rule, subject))
                finding.confidences.append(rule.confidence(subject.known))
    return list(found.values())


def _evidence(rule: Rule, subject: Subject) -> list[Evidence]:
    return [
        Evidence(subject.label, c.quantity, subject.known[c.quantity], c.operator, c.threshold)
        for c in rule.when
        if c.quantity in subject.known
    ]


def _healthy(judged: list[Subject]) -> Finding:
    """That nothing was found says more the more was counted."""
    server = next(subject for subject in judged if subject.role == SERVER)
    known = server.known
    counted = [name for name in ("commands", "calls_per_command", "cpu_share") if name in known]
    evidence = [Evidence(SERVER, name, known[name]) for name in counted]
    enough = known.get("commands", 0) >= ENOUGH
    meaning = "No rule found anything to act on" if enough else "Too little was counted to judge"
    inference = "Nothing to do" if enough else "Count longer, or while there is load"
    row = Row(_volume(known), meaning, inference)
    return Finding(HEALTHY_RULE, 0, [SERVER], [row], evidence, [0.9 if enough else 0.5])


HEALTHY_RULE: Final = Rule(
    HEALTHY,
    (SERVER,),
    when=(),
    observation="",
    meaning="No rule found anything to act on",
    inference="Nothing to do",
    cannot_tell="what no rule looks at: latency, and whether the answers are right",
    next="redis-benchmark -p {port} -t ping -q",
)


def judge(label: str, role: str, known: Quantities, process: Process | None = None) -> Subject:
    """Applies every rule to one process, or to the server as a whole, by its numbers."""
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
        parts.append(_many(known, "calls"))
    if known.get("commands"):
        about = "about " if known.get("estimated") else ""
        parts.append(about + _many(known, "commands"))
    if "calls_per_command" in known:
        parts.append(f"{in_words('calls_per_command', known['calls_per_command'])} per command")
    return ", ".join(parts) or "no counts"


def _many(known: Quantities, name: str) -> str:
    return f"{in_words(name, known[name])} {name[:-1] if known[name] == 1 else name}"


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
        return "idle" if known.get("calls") == 0 else "no commands"
    if known["commands"] < ENOUGH:
        return f"Insufficient data: ratios need {ENOUGH} commands"
    return "healthy: no rule found anything to act on"
