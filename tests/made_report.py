"""A report with everything that a page may have to show, made from a recorded run."""

import math
from collections import defaultdict
from typing import Any

from golden import DATA

from forkkv.perf.report import build
from forkkv.perf.rules import RULES
from forkkv.perf.run import load

WORDS = {1: "low", 2: "medium", 3: "high"}

Json = dict[str, Any]


def recorded(name: str = "two-clients") -> Json:
    """The report on a recorded run, which names its directory as if it lay here."""
    report = build(load(DATA / name))
    report["run"]["directory"] = name
    return report


def full() -> Json:
    """Every finding there is, in three severities, and a run that was watched over time."""
    report = recorded()
    situations = dict.fromkeys(rule.situation for rule in RULES if rule.finding)
    known = {finding["situation"]: finding for finding in report["findings"]}
    report["findings"] = [
        _weighed(known.get(situation) or _finding(situation), 1 + i % 3)
        for i, situation in enumerate(situations)
    ]
    report["timeline"] = timeline([p["process"] for p in report["processes"]])
    return report


def timeline(labels: list[str], count: int = 40) -> Json:
    """Waves of load, half a second each; clients have no commands, and one process comes late."""
    moments = []
    for i in range(count):
        processes = {
            label: {
                "commands": None
                if "client" in label
                else max(0, round(3000 + 900 * k * math.sin(i / 4))),
                "calls": max(0, round(9100 + 2700 * k * math.sin(i / 4))),
                "cpu_seconds": None if i % 9 == 8 else 0.3 + 0.09 * math.sin(k + i / 3),
            }
            for k, label in enumerate(labels[: -1 if i < 10 else None])
        }
        moments.append({"from": i / 2, "to": (i + 1) / 2, "processes": processes})
    return {"interval_seconds": 0.5, "moments": moments}


def _finding(situation: str) -> Json:
    rule = next(rule for rule in RULES if rule.situation == situation)
    label = "worker-0" if "worker" in rule.roles else "client-1"
    evidence = [
        {
            "process": label,
            "quantity": condition.quantity,
            "value": condition.threshold * 1.5 + 1,
            "operator": condition.operator,
            "threshold": condition.threshold,
        }
        for condition in rule.when
    ]
    return {
        "situation": situation,
        "processes": [label],
        "observations": [{"process": label, "observation": _say(rule.observation)}],
        "meaning": _say(rule.meaning),
        "inference": _say(rule.inference),
        "cannot_tell": rule.cannot_tell,
        "evidence": evidence,
    }


def _say(sentence: str) -> str:
    return sentence.format_map(defaultdict(lambda: "7"))


def _weighed(finding: Json, severity: int) -> Json:
    return finding | {
        "severity": severity,
        "confidence": 0.3 * severity,
        "confidence_word": WORDS[severity],
        "next": f"forkkv stats --table default --sort {finding['situation']}",
    }
