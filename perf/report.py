"""Builds the report on a run: one plain structure, from which text, Markdown and JSON are made."""

from collections.abc import Iterable
from typing import Any, Final

from forkkv.perf import crosscheck, diagnose
from forkkv.perf.bottlenecks import BOTTLENECKS, Bottleneck
from forkkv.perf.diagnose import Finding, Row, Subject
from forkkv.perf.events import CALLS
from forkkv.perf.process import Process
from forkkv.perf.quantities import of_process
from forkkv.perf.rule import confidence_word
from forkkv.perf.run import Run
from forkkv.perf.sources import COST
from forkkv.perf.units import in_words, unit_of

SCHEMA: Final = 2

Json = dict[str, Any]


def build(run: Run) -> Json:
    """Everything that a report says, ready for JSON."""
    judged = diagnose.subjects(run)
    found = diagnose.findings(judged)
    checks = crosscheck.check(run)
    return {
        "schema": SCHEMA,
        "run": {
            "directory": run.directory,
            **{key: run.facts[key] for key in ("date", "kernel", "table", "window", "counter")},
        },
        "findings": [_finding(finding, run) for finding in found],
        "processes": [_process(process) for process in run.processes],
        "totals": _totals(p for p in run.server if p.role != "attached"),
        "timeline": _timeline(run),
        "cross_check": [_check(check) for check in checks],
        "agreement": [_agreement(checks), *crosscheck.explanations(run, checks)],
        "tables": [_table(subject) for subject in judged],
        "bottlenecks": [_bottleneck(row, judged, found) for row in BOTTLENECKS],
        "cannot_tell": _cannot_tell(judged),
        "sources": _sources(run),
        "caveats": _caveats(run),
    }


def _finding(finding: Finding, run: Run) -> Json:
    return {
        "situation": finding.rule.situation,
        "severity": finding.severity,
        "processes": finding.subjects,
        "confidence": round(finding.confidence, 2),
        "confidence_word": confidence_word(finding.confidence),
        "observations": [
            {"process": label, "observation": row.observation}
            for label, row in zip(finding.subjects, finding.sentences, strict=True)
        ],
        "meaning": finding.sentences[0].meaning,
        "inference": finding.sentences[0].inference,
        "next": _next(finding, run),
        "cannot_tell": finding.rule.cannot_tell,
        "evidence": [
            {
                "process": evidence.subject,
                "quantity": evidence.quantity,
                "value": round(evidence.value, 6),
                "unit": unit_of(evidence.quantity),
                "words": in_words(evidence.quantity, evidence.value),
                "operator": evidence.operator,
                "threshold": evidence.threshold,
            }
            for evidence in finding.evidence
        ],
    }


def _next(finding: Finding, run: Run) -> str:
    """The command that looks closer, about the first process that shows the finding."""
    first = next((p for p in run.processes if p.label == finding.subjects[0]), None)
    first = first or next((p for p in run.server if p.role == "worker"), None)
    template = finding.rule.next
    if first is not None and first.is_client and first.pid is None:  # it has ended: start it anew
        template = template.replace("timeout -s INT 2 ", "").replace("-p {pid}", "{command}")
    return template.format(
        command=first.command if first is not None else "",
        table=run.facts["table"] or "default",
        pid=first.pid if first is not None and first.pid is not None else "PID",
        port=run.facts.get("port") or 6390,
        directory=run.directory,
    )


def _timeline(run: Run) -> Json:
    """What each process did in each interval."""
    return {
        "interval_seconds": run.facts["window"]["interval_seconds"],
        "moments": [
            {
                "from": round(moment.offset, 3),
                "to": round(moment.offset + moment.seconds, 3),
                "processes": {p.label: _moment(p, moment.seconds) for p in moment.processes},
            }
            for moment in run.moments
        ],
    }


def _moment(process: Process, seconds: float) -> Json:
    known = of_process(process, seconds)
    return {name: known.get(name) for name in ("commands", "calls", "cpu_seconds")}


def _process(process: Process) -> Json:
    return {
        "process": process.label,
        "role": process.role,
        "index": process.index,
        "pid": process.pid,
        "source": process.source,
        "note": process.note,
        "command": process.command,
        "calls": {call: count.value for call, count in process.calls.items()},
        "failed": {call: count.value for call, count in process.failed.items()},
        "total": process.total.value,
        "commands": _commands(process),
        "cpu_seconds": process.cpu_seconds.value,
        "notes": sorted({count.note for count in process.calls.values() if count.note}),
    }


def _commands(process: Process) -> int | None:
    """None where nobody counts them: an estimate is no count."""
    if process.role == "client" or "commands" not in process.own:
        return None
    return round(process.own["commands"].best)


def _totals(processes: Iterable[Process]) -> Json:
    """Sums over the server's processes. A call that nobody counted is null, not zero."""
    listed = list(processes)
    sums: Json = {}
    for call in CALLS:
        values = [p.calls[call].value for p in listed if call in p.calls]
        known = [value for value in values if value is not None]
        sums[call] = sum(known) if known else None
    return sums


def _check(check: crosscheck.Check) -> Json:
    return {
        "process": check.process,
        "call": check.call,
        "perf": check.perf,
        "own": [check.own.least, check.own.most],
        "difference": check.difference,
        "verdict": check.verdict,
    }


def _agreement(checks: list[crosscheck.Check]) -> str:
    if not checks:
        return "Not compared: perf and forkkv's own counters were not both taken."
    apart = sum(not check.agrees for check in checks)
    exact = sum(check.verdict == "exact" for check in checks)
    if apart:
        return f"{apart} of {len(checks)} counts differ."
    if exact == len(checks):
        return f"All {len(checks)} counts agree to the call."
    return f"All {len(checks)} counts agree, {exact} to the call, the others within their bounds."


def _table(subject: Subject) -> Json:
    return {
        "process": subject.label,
        "rows": [
            {**_row(row), "situation": row.rule.situation} for row in subject.rows if row.rule
        ],
        "overall": _row(subject.overall),
    }


def _row(row: Row) -> Json:
    return {
        "observation": row.observation,
        "meaning": row.meaning,
        "inference": row.inference,
    }


def _bottleneck(row: Bottleneck, judged: list[Subject], found: list[Finding]) -> Json:
    scope = [s for s in judged if s.role == ("client" if row.of == "clients" else "server")]
    roles = {subject.label: subject.role for subject in judged}
    hit = [
        finding
        for finding in found
        if row.marked_by(finding.rule.situation, {roles[label] for label in finding.subjects})
    ]
    decided = [e.value for f in hit for e in f.evidence if e.quantity == row.quantity]
    values = decided or [s.known[row.quantity] for s in scope if row.quantity in s.known]
    return {
        "syscall": row.calls,
        "high": row.high,
        "measured": _alone(row.quantity, max(values)) if values else "n/a",
        "state": row.state,
        "fix": row.fix,
        "applies": bool(hit),
        "processes": list(dict.fromkeys(name for finding in hit for name in finding.subjects)),
    }


def _alone(name: str, value: float) -> str:
    """A number that no sentence stands around to say what the ratio is per."""
    bare = name.endswith("_imbalance") or ("_per_" in name and not name.endswith("second"))
    return f"{in_words(name, value)} {unit_of(name)}" if bare else in_words(name, value)


def _cannot_tell(judged: list[Subject]) -> Json:
    rules = [row.rule for subject in judged for row in subject.rows if row.rule is not None]
    return {rule.situation: rule.cannot_tell for rule in rules}


def _sources(run: Run) -> list[str]:
    """Who counted whom, and at what cost."""
    counter = run.facts["counter"]
    names: dict[str, list[str]] = {}
    everybody = f"All {len(run.processes)} processes"
    for process in run.processes:
        names.setdefault(process.source, []).append(process.label)
    how = "all started and stopped together" if counter["aligned"] else "started one after another"
    said = {
        "perf": f"perf {counter['version']}, one per process, {how}",
        "bpftrace": "bpftrace, all started and stopped together",
        "strace": "strace -c, one strace per process",
        "forkkv": "forkkv's own counters, read from shared memory",
        "none": "not counted",
    }
    return [
        f"{everybody if 1 < len(labels) == len(run.processes) else ', '.join(labels)}: "
        + f"{said[source]}{f' ({COST[source]})' if source in COST else ''}"
        for source, labels in names.items()
    ]


def _caveats(run: Run) -> list[str]:
    counter, caveats = run.facts["counter"], list(run.facts["lost"])
    if counter["problem"]:
        caveats.append(f"perf was not used: {counter['problem']}. To allow it: {counter['remedy']}")
    if run.facts["events_missing"]:
        caveats.append("This kernel does not have: " + ", ".join(run.facts["events_missing"]))
    if run.facts["window"]["ended_by"] == "interrupt":
        caveats.append("The run was ended early, by a signal")
    if run.source == "strace":
        caveats.append("strace slowed every process down: distrust rates, CPU times and shares")
    if any(entry.get("log") and entry["file"] for entry in run.facts["processes"]):
        caveats.append(
            "A client is counted from its exec on, so its program's own start is included"
        )
    if estimated := [p.label for p in run.server if of_process(p, 1.0).get("estimated")]:
        caveats.append(
            f"{', '.join(estimated)}: commands are not counted there; one is taken for each read "
            "that brought data, which is too few when they come in batches"
        )
    if any("never ran" in c.note for p in run.processes for c in p.calls.values()):
        caveats.append("<not counted> by perf means: the process never ran in the window, 0 calls")
    return caveats
