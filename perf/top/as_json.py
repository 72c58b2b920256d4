"""One interval of `forkkv top` as an object for programs, one line each."""

import json
from typing import Any, Final

from forkkv.perf.diagnose import Finding
from forkkv.perf.top.interval import Interval, Row

SCHEMA: Final = 1
NOW: Final = ("pid", "alive", "state", "stopped", "connections", "private_bytes")
RATES: Final = ("commands", "reads", "writes", "accepted", "closes", "futexes", "lock_waits")
KNOWN: Final = (
    "calls_per_command",
    "reads_per_command",
    "writes_per_command",
    "cpu_share",
    "hit_share",
)

Json = dict[str, Any]


def to_json(interval: Interval) -> str:
    """The interval. A number that is not known is null."""
    table = interval.reading["table"]
    return json.dumps(
        {
            "schema": SCHEMA,
            "time": interval.reading["time"],
            "seconds": interval.seconds,
            "table": {
                "name": table["name"],
                "uptime_seconds": interval.uptime,
                "keys": table["keys"],
                "used_bytes": interval.reading["memory"]["used_bytes"],
                "limit_bytes": interval.reading["memory"]["limit_bytes"],
                "policy": table["policy"],
                **{f"{name}_per_second": rate for name, rate in interval.table.items()},
            },
            "server": _numbers(interval.server),
            "processes": [_process(row) for row in interval.rows],
            "findings": [_finding(finding) for finding in interval.findings],
        }
    )


def no_table(name: str, problem: str, time: float) -> str:
    """The object for an interval in which the table could not be read."""
    return json.dumps({"schema": SCHEMA, "time": time, "table": {"name": name}, "problem": problem})


def _process(row: Row) -> Json:
    who = {"role": row.now["role"], "index": row.now["index"]}
    return {**who, **{name: row.now[name] for name in NOW}, **_numbers(row)}


def _numbers(row: Row) -> Json:
    rates = {f"{name}_per_second": row.per_second(name) for name in RATES}
    return rates | {name: row.known.get(name) for name in KNOWN}


def _finding(finding: Finding) -> Json:
    said = finding.sentences[0]
    return {
        "situation": finding.rule.situation,
        "processes": finding.subjects,
        "observation": said.observation,
        "meaning": said.meaning,
        "inference": said.inference,
    }
