"""Builds the report on a run: one plain structure, from which text, Markdown and JSON are made."""

from collections.abc import Iterable
from typing import Any, Final

from forkkv.perf import crosscheck, diagnose
from forkkv.perf.bottlenecks import BOTTLENECKS, Bottleneck
from forkkv.perf.diagnose import Finding, Row, Subject
from forkkv.perf.events import CALLS
from forkkv.perf.quantities import in_words
from forkkv.perf.run import Process, Run

SCHEMA: Final = 1

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
            **{key: run.facts[key] for key in ("date", "kernel", "table", "window", "perf")},
        },
        "findings": [_finding(finding) for finding in found],
        "processes": [_process(process) for process in run.processes],
        "totals": _totals(run.server),
        "cross_check": [_check(check) for check in checks],
        "agreement": [_agreement(checks), *crosscheck.explanations(checks)],
        "tables": [_table(subject) for subject in judged],
        "bottlenecks": [_bottleneck(row, judged, found) for row in BOTTLENECKS],
        "cannot_tell": _cannot_tell(judged),
        "sources": _sources(run),
        "caveats": _caveats(run),
    }


def _finding(finding: Finding) -> Json:
    return {
        "situation": finding.rule.situation,
        "processes": finding.subjects,
        "observations": [
            {"process": label, "observation": row.observation}
            for label, row in zip(finding.subjects, finding.sentences, strict=True)
        ],
        "meaning": finding.sentences[0].meaning,
        "inference": finding.sentences[0].inference,
        "cannot_tell": finding.rule.cannot_tell,
        "evidence": [
            {
                "process": evidence.subject,
                "quantity": evidence.condition.quantity,
                "value": round(evidence.value, 6),
                "operator": evidence.condition.operator,
                "threshold": evidence.condition.threshold,
            }
            for evidence in finding.evidence
        ],
    }


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
        "commands": round(process.own["commands"].best) if "commands" in process.own else None,
        "cpu_seconds": process.cpu_seconds.value,
        "notes": sorted({count.note for count in process.calls.values() if count.note}),
    }


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
    values = [s.known[row.quantity] for s in scope if row.quantity in s.known]
    hit = [finding for finding in found if finding.rule.situation in row.situations]
    return {
        "syscall": row.calls,
        "high": row.high,
        "measured": in_words(row.quantity, max(values)) if values else "n/a",
        "state": row.state,
        "fix": row.fix,
        "applies": bool(hit),
        "processes": list(dict.fromkeys(name for finding in hit for name in finding.subjects)),
    }


def _cannot_tell(judged: list[Subject]) -> Json:
    rules = [row.rule for subject in judged for row in subject.rows if row.rule is not None]
    return {rule.situation: rule.cannot_tell for rule in rules}


def _sources(run: Run) -> list[str]:
    perf = run.facts["perf"]
    names: dict[str, list[str]] = {}
    for process in run.processes:
        names.setdefault(process.source, []).append(process.label)
    how = "all started and stopped together" if perf["aligned"] else "started one after another"
    said = {
        "perf": f"perf {perf['version']}, system call tracepoints, one perf per process, {how}",
        "forkkv": "forkkv's own counters, read from shared memory",
        "none": "not counted",
    }
    return [f"{', '.join(labels)}: {said[source]}" for source, labels in names.items()]


def _caveats(run: Run) -> list[str]:
    perf, caveats = run.facts["perf"], list(run.facts["lost"])
    if perf["problem"]:
        caveats.append(f"perf was not used: {perf['problem']}. To allow it: {perf['remedy']}")
    if run.facts["events_missing"]:
        caveats.append("This kernel does not have: " + ", ".join(run.facts["events_missing"]))
    if run.facts["window"]["ended_by"] == "interrupt":
        caveats.append("The run was ended early, by a signal")
    if any(process.source == "perf" for process in run.clients):
        caveats.append(
            "A client is counted from its exec on, so its program's own start is included"
        )
    if any("never ran" in c.note for p in run.processes for c in p.calls.values()):
        caveats.append("<not counted> by perf means: the process never ran in the window, 0 calls")
    return caveats
